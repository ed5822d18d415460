package rules

// The keys of detect: travel.
//
//	speed_kmh        what a traveller can reach; default 900 (an airliner), 50 to 100,000
//	min_distance_km  hops below it, after both accuracy radii, are never travel; default 300, 1 to 20,000
//	places           how many previous places are remembered; default 4, 1 to 16
//	ignore           addresses whose place means little, see [reader.discount]
var travelKeys = []string{"speed_kmh", "min_distance_km", "places", "ignore"}

func (r *reader) travel(o object) Detection {
	return &Travel{
		SpeedKMH:    r.number(o.get("speed_kmh"), "speed_kmh", 50, 100_000, 900),
		MinDistance: r.number(o.get("min_distance_km"), "min_distance_km", 1, 20_000, 300),
		Places:      r.integer(o.get("places"), "places", 1, 16, 4),
		Discount:    r.discount(o.get("ignore")),
	}
}

func (d *Travel) appendTo(b []byte) []byte {
	b = appendFloat(appendFloat(b, d.SpeedKMH), d.MinDistance)
	return d.Discount.appendTo(appendInt(b, d.Places))
}
