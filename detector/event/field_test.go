package event

import "testing"

func TestPathParameter(t *testing.T) {
	for _, c := range []struct{ route, path, name, want string }{
		{"/users/{id}/profile", "/users/42/profile", "id", "42"},
		{"/users/{userId}", "/users/42", "id", "42"},
		{"/users/{user}/orders/{order}", "/users/42/orders/7", "user", "42"},
		{"/users/{user}/orders/{order}", "/users/42/orders/7", "id", "7"},
		{"/users/{id}", "/api/v1/users/42", "id", "42"},
		{"/users/{id}", "//users//42/", "id", "42"},
		{"/users/{id}/**", "/users/42/a/b/c", "id", "42"},
		{"/users", "/users/42", "id", ""},
		{"", "/users/42", "id", ""},
		{"/users/{id}", "/users", "id", ""},
	} {
		if got := PathParameter(c.route, c.path, c.name); got != c.want {
			t.Errorf("PathParameter(%q, %q, %q) = %q, want %q", c.route, c.path, c.name, got, c.want)
		}
	}
}

func TestFieldsHaveNamesThatParse(t *testing.T) {
	for _, name := range FieldNames() {
		if name[len(name)-1] == '>' {
			continue
		}
		f, ok := ParseField(name)
		if !ok || f.String() != name {
			t.Errorf("ParseField(%q) = %v, %v", name, f, ok)
		}
	}
	for _, name := range []string{"", "Status", "attributes.", "path", "nothing"} {
		if f, ok := ParseField(name); ok && name != "path" {
			t.Errorf("ParseField(%q) = %v", name, f)
		}
	}
}
