// Command service is a small API behind a gateway: the profiles of users as JSON, for callers with a bearer token.
//
// It has the flaw that gatewatch is for: it checks who calls, but not whose profile the caller reads. Every single call is
// valid, authorised and successful.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: service HOST:PORT")
	}
	server := &http.Server{Addr: os.Args[1], Handler: handler(), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}/profile", func(w http.ResponseWriter, r *http.Request) {
		subject, ok := authenticate(w, r)
		if !ok {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"id\":%q,\"name\":\"User %s\",\"read_by\":%q}\n", r.PathValue("id"), r.PathValue("id"), subject)
	})
	return mux
}

// authenticate says who holds the token, to the gateway too: X-Subject and X-Token-Id are for its log. A real service
// verifies a signature here; this one believes whoever says "demo-" and a name.
func authenticate(w http.ResponseWriter, r *http.Request) (subject string, ok bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok {
		subject, ok = strings.CutPrefix(token, "demo-")
	}
	if !ok || subject == "" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return "", false
	}
	w.Header().Set("X-Subject", subject)
	w.Header().Set("X-Token-Id", fmt.Sprintf("%x", sha256.Sum256([]byte(token)))[:16])
	return subject, true
}
