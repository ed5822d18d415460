package event

import "testing"

func TestUserAgentFamily(t *testing.T) {
	for agent, want := range map[string]string{
		"":                       "",
		"okhttp/4.9.1":           "okhttp",
		"okhttp":                 "okhttp",
		"curl 8.4.0":             "curl",
		"Go-http-client/2.0":     "Go-http-client",
		"shop/7.1 (iOS; 17) x/1": "shop x",
		"(((":                    "",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36": "Mozilla AppleWebKit Chrome Safari",
		"Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0":                                "Mozilla Gecko Firefox",
		"a/1)))b(c)(d e": "a",
	} {
		if got := string(AppendUserAgentFamily(nil, agent)); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
	if n := len(AppendUserAgentFamily(nil, string(make([]byte, 1000)))); n > maxFamily {
		t.Errorf("%d bytes", n)
	}
}
