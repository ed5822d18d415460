package accesslog

type inflater struct{}

func (d *Decoder) unpack(b []byte) ([]byte, bool) { return b, true }
