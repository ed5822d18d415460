package detector

import "github.com/gatewatch/gatewatch/detector/event"

// hiddenPlace is where everybody is who calls through a known VPN, proxy or Tor. The exit's country says nothing about its user:
// one who has used such an exit before is not in a new place when he comes from another one, and one who never has is in a new
// place whatever country the exit is in. A hosting network is a place like others.
const hiddenPlace = "VPN or proxy"

const hiding = event.AnonymousVPN | event.AnonymousPublicProxy | event.AnonymousResidentialProxy | event.AnonymousTor | event.AnonymousOther

// placeOf is the event's value of a field; if the field is a place and its user hides it, [hiddenPlace].
func placeOf(f event.Field, e *event.Event) string {
	isPlace := f.Kind() >= event.Country && f.Kind() <= event.ASN
	if isPlace && e.Geo != nil && e.Geo.Anonymous&hiding != 0 {
		return hiddenPlace
	}
	return f.Text(e)
}
