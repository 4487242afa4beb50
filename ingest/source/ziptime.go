package source

import (
	"encoding/binary"
	"math"
	"time"

	"penstock/ingest"
)

// readExtra takes from the directory's extra field (APPNOTE.TXT 4.5, and
// Info-ZIP's extrafld.txt) the sizes that do not fit the header, and the time
// in UTC where one is given.
func (m *member) readExtra(extra []byte) error {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		tag, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			return nil // some programs pad the field; archive/zip lets it pass too
		}
		field := extra[:n]
		extra = extra[n:]
		switch tag {
		case 0x0001: // zip64: those that the header has no room for, in this order
			for _, v := range []*int64{&m.size, &m.packed, &m.offset} {
				if *v != math.MaxUint32 {
					continue
				}
				if len(field) < 8 {
					return corrupt("a zip64 size is missing")
				}
				*v, field = int64(le.Uint64(field)), field[8:]
			}
		case 0x000a: // NTFS: 100 ns since 1601, in attribute 1, after 4 reserved bytes
			if n >= 32 && le.Uint16(field[4:]) == 1 && le.Uint16(field[6:]) >= 24 {
				const epoch = 116444736000000000 // 1970 in those units
				m.modified, m.precision = (int64(le.Uint64(field[8:]))-epoch)/10, ingest.Micro
			}
		case 0x5455: // extended timestamp: seconds, if bit 0 says so
			if n >= 5 && field[0]&1 != 0 && m.precision != ingest.Micro {
				m.modified, m.precision = int64(le.Uint32(field[1:]))*1e6, ingest.Second
			}
		case 0x5855: // Info-ZIP's older one: seconds of access and of change
			if n >= 8 && m.precision != ingest.Micro {
				m.modified, m.precision = int64(le.Uint32(field[4:]))*1e6, ingest.Second
			}
		}
	}
	return nil
}

// dosTime is the time in a header that has no better one: on the clock of a
// machine whose zone nobody knows, so it is good for its day at most.
func dosTime(date, clock uint16) (int64, ingest.Precision) {
	year, month, day := int(date>>9)+1980, time.Month(date>>5&15), int(date&31)
	if month < 1 || month > 12 || day < 1 {
		return 0, ingest.Unknown
	}
	t := time.Date(year, month, day, int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
	return ingest.Micros(t), ingest.Day
}
