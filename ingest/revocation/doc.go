// Package revocation knows which tokens are revoked, from lists that the operator exports of his authorisation server, and tells
// events.
//
// A list is a text file of one revocation a line, in one of two forms, which may be mixed:
//
//	jti-4711,2026-11-22T10:00:00Z
//	{"token_id": "jti-4711", "revoked_at": "2026-11-22T10:00:00Z"}
//
// Times are RFC 3339 or seconds or milliseconds since 1970; a token without one counts as revoked since ever. The token stands as the
// gateway logs it, or as its pseudonym, tok_ and 32 hex digits, as alerts show it. Raw tokens are replaced by pseudonyms, under the
// key that events have too, while a list is read: they are neither kept nor logged. Of a token that is named twice the earlier
// time counts. Empty lines, lines that begin with # and a first line token_id,revoked_at are left out, and so is what cannot be
// read, which is counted and told by line number: one bad line must not let the other tokens pass. Nor must a bad time let its token
// pass: it counts as none.
package revocation
