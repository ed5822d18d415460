package route

import (
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	tests := []struct{ path, want string }{
		// Numbers, and what is written with digits.
		{"/users/42/profile", "/users/{id}/profile"},
		{"/users/42/orders/7", "/users/{id}/orders/{id2}"},
		{"/a/1/b/2/c/3", "/a/{id}/b/{id2}/c/{id3}"},
		{"/users/-5", "/users/{id}"},
		{"/users/1,2,3", "/users/{id}"},
		{"/geo/51.50741,-0.1278", "/geo/{id}"},
		{"/reports/2024-11-22", "/reports/{id}"},
		{"/reports/2024-W07", "/reports/{id}"},
		{"/logs/2024-11-22T10:00:00Z", "/logs/{id}"},
		{"/logs/20241122T100000Z", "/logs/{id}"},
		{"/calls/+15551234567", "/calls/{id}"},

		// Random ids.
		{"/o/550e8400-e29b-41d4-a716-446655440000", "/o/{id}"},
		{"/o/550E8400E29B41D4A716446655440000", "/o/{id}"},
		{"/o/urn:uuid:550e8400-e29b-41d4-a716-446655440000", "/o/{id}"},
		{"/o/507f1f77bcf86cd799439011", "/o/{id}"},
		{"/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"},
		{"/o/deadbee1", "/o/{id}"},
		{"/o/deadbeefdeadbeef", "/o/{id}"},
		{"/o/V1StGXR8_Z5jdHi6B-myT", "/o/{id}"},
		{"/o/dQw4w9WgXcQ", "/o/{id}"},
		{"/o/aGVsbG8gd29ybGQh", "/o/{id}"},
		{"/o/kJhGfDsAqWeRtYuIoPzX", "/o/{id}"},
		{"/o/Zm9vYmFyYmF6cXV4", "/o/{id}"},
		{"/o/tok_0123456789abcdef0123456789abcdef", "/o/{id}"},
		{"/o/tok_abcdefabcdefabcdefabcdefabcdefab", "/o/{id}"},

		// Ids with a name in front.
		{"/u/usr_1a2B", "/u/{id}"},
		{"/u/user-123", "/u/{id}"},
		{"/u/user-7", "/u/{id}"},
		{"/u/ord-000123", "/u/{id}"},
		{"/u/ord-eu-000123", "/u/{id}"},
		{"/u/INV2024001", "/u/{id}"},
		{"/u/inv001", "/u/{id}"},
		{"/u/cus_NffrFeUfNV2Hib", "/u/{id}"},
		{"/u/user:99", "/u/{id}"},
		{"/u/user~99", "/u/{id}"},
		{"/u/ann@example.com", "/u/{id}"},
		{"/u/ann%40example.com", "/u/{id}"},
		{"/u/%34%32", "/u/{id}"},
		{"/u/@ann", "/u/{id}"},
		{"/u/Users(123)", "/u/{id}"},
		{"/u/Users('ann')", "/u/{id}"},
		{"/u/12345-my-first-post", "/u/{id}"},
		{"/u/my-first-post-12345", "/u/{id}"},
		{"/hosts/10.0.0.1", "/hosts/{id}"},
		{"/hosts/2001:db8::1", "/hosts/{id}"},
		{"/hosts/fe80::abcd", "/hosts/{id}"},
		{"/files/12345.json", "/files/{id}"},
		{"/files/invoice-000123.pdf", "/files/{id}"},
		{"/files/photo_123.jpg", "/files/{id}"},
		{"/files/app.3f9a8b7c.js", "/files/{id}"},
		{"/orders/123:cancel", "/orders/{id}"},
		{"/" + strings.Repeat("x", 41), "/{id}"},
		{"/" + strings.Repeat("x-", 60), "/{id}"},

		// Words.
		{"/", "/"},
		{"", "/"},
		{"/users", "/users"},
		{"/api/v1/users", "/api/v1/users"},
		{"/api/v2.1/users", "/api/v2.1/users"},
		{"/api/1.0/users", "/api/1.0/users"},
		{"/apis/apps/v1beta1/deployments", "/apis/apps/v1beta1/deployments"},
		{"/V2/x", "/V2/x"},
		{"/user-profile/change-password", "/user-profile/change-password"},
		{"/how-to-do-it-on-my-own", "/how-to-do-it-on-my-own"},
		{"/How-To-Do-It-On-My-Own", "/How-To-Do-It-On-My-Own"},
		{"/internationalization/characteristically", "/internationalization/characteristically"},
		{"/index.html", "/index.html"},
		{"/static/jquery-min.js", "/static/jquery-min.js"},
		{"/openapi.v1.yaml", "/openapi.v1.yaml"},
		{"/.well-known/openid-configuration", "/.well-known/openid-configuration"},
		{"/oauth2/token", "/oauth2/token"},
		{"/k8s/i18n/s3/ipv6/mp3/2fa/b2b", "/k8s/i18n/s3/ipv6/mp3/2fa/b2b"},
		{"/hash/sha256", "/hash/sha256"},
		{"/deadbeef/facade", "/deadbeef/facade"},
		{"/getCustomerOrderHistory", "/getCustomerOrderHistory"},
		{"/rpc/UserService/GetUserById2", "/rpc/UserService/GetUserById2"},
		{"/users:batchGet", "/users:batchGet"},
		{"/GetAll()", "/GetAll()"},
		{"/$metadata", "/$metadata"},
		{"/caf%C3%A9/menü", "/caf%C3%A9/menü"},
		{"/users/me", "/users/me"},
		{"/a/../b/.", "/a/../b/."},
		{"/*", "/*"},

		// Slashes, parameters and depth.
		{"//users///42/", "/users/{id}"},
		{"users/42", "/users/{id}"},
		{"/users;jsessionid=AB12/42;v=1", "/users/{id}"},
		{"/;x=1", "/{id}"},
		{"/users/{userId}/posts/{id}", "/users/{id}/posts/{id2}"},
		{"/users/%7Bid%7D", "/users/{id}"},
		{"/{", "/{"},
		{"/bad%zz%", "/bad%zz%"},
		{strings.Repeat("/a", 24), strings.Repeat("/a", 24)},
		{strings.Repeat("/a", 25), strings.Repeat("/a", 23) + "/**"},
		{strings.Repeat("/1", 4000), "/{id}/{id2}/{id3}/{id4}/{id5}/{id6}/{id7}/{id8}/{id9}/{id10}/{id11}/{id12}/{id13}/{id14}" +
			"/{id15}/{id16}/{id17}/{id18}/{id19}/{id20}/{id21}/{id22}/{id23}/**"},
	}
	for _, tt := range tests {
		if got := Template(tt.path); got != tt.want {
			t.Errorf("Template(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, path := range []string{
		"/users/42/profile", "//a;b/%7Bid%7D/", "/u/ann%40example.com", "/V1StGXR8_Z5jdHi6B-myT/x.y.z", "/{a}/{b}", "/é/%", "/**",
		strings.Repeat("/1", 30), "/v1beta1/1.0/10.0.0.1", "/;", "/a%2Fb", "/%3B", "/Users('x')",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		once := Template(path)
		if len(once) > len(path)+Slack {
			t.Errorf("Template(%q) is %d bytes, more than promised", path, len(once))
		}
		if twice := Template(once); twice != once {
			t.Errorf("Template(%q) = %q, and of that %q", path, once, twice)
		}
		want := min(segments(path), MaxSegments)
		if got := segments(once); got != want {
			t.Errorf("Template(%q) = %q has %d segments, want %d", path, once, got, want)
		}
	})
}

func segments(path string) (n int) {
	for s := range strings.SplitSeq(path, "/") {
		if s != "" {
			n++
		}
	}
	return n
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	for _, path := range []string{"/users/42/profile", "/o/550e8400-e29b-41d4-a716-446655440000/items"} {
		if n := testing.AllocsPerRun(100, func() { Append(buf, path) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 1024)
	for name, path := range map[string]string{
		"short": "/users/42/profile",
		"long":  "/api/v1/customers/cus_NffrFeUfNV2Hib/orders/550e8400-e29b-41d4-a716-446655440000/items",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Append(buf, path)
			}
		})
	}
}
