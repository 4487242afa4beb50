package main

import (
	"bytes"
	"fmt"
	"time"
)

// A row is one reading; its series is the index of a name that the worker
// knows.
type row struct {
	series int32
	ts     int64 // microseconds since 2000-01-01, as PostgreSQL counts
	value  float64
}

const (
	header      = "logger,channel,timestamp,value\n"
	stampLength = len("2006-01-02T15:04:05Z")
)

var (
	postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	powersOfTen   = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}
)

// decode appends the readings of a file that bench.Corpus wrote to rows, and
// refuses all others. series maps "logger,channel" to its index.
func decode(data []byte, rows []row, series func(name []byte) int32) ([]row, error) {
	data, ok := bytes.CutPrefix(data, []byte(header))
	if !ok {
		return rows, fmt.Errorf("the header is not %q", header)
	}
	for line := 2; len(data) > 0; line++ {
		logger := bytes.IndexByte(data, ',')
		channel := logger + 1 + bytes.IndexByte(data[logger+1:], ',')
		end := bytes.IndexByte(data, '\n')
		if logger < 0 || channel <= logger || end < channel+stampLength+3 || data[channel+1+stampLength] != ',' {
			return rows, fmt.Errorf("line %d is not logger,channel,timestamp,value", line)
		}
		ts, ok1 := parseStamp(data[channel+1:])
		value, ok2 := parseDecimal(data[channel+1+stampLength+1 : end])
		if !ok1 || !ok2 {
			return rows, fmt.Errorf("line %d has a timestamp or value of another form", line)
		}
		rows = append(rows, row{series(data[:channel]), ts, value})
		data = data[end+1:]
	}
	return rows, nil
}

// parseStamp reads 2006-01-02T15:04:05Z.
func parseStamp(b []byte) (int64, bool) {
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != 'Z' {
		return 0, false
	}
	bad := false
	number := func(at, digits int) int64 {
		n := int64(0)
		for _, c := range b[at : at+digits] {
			bad = bad || c < '0' || c > '9'
			n = n*10 + int64(c-'0')
		}
		return n
	}
	y, m, d := number(0, 4), number(5, 2), number(8, 2)
	seconds := daysFromCivil(y, m, d)*86400 + number(11, 2)*3600 + number(14, 2)*60 + number(17, 2)
	return (seconds - postgresEpoch) * 1e6, !bad
}

// daysFromCivil counts days since 1970-01-01 (Howard Hinnant, "chrono-
// compatible low-level date algorithms").
func daysFromCivil(y, m, d int64) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*((m+9)%12)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// parseDecimal reads digits with at most nine after the point: exact, as both
// sides of the division are.
func parseDecimal(b []byte) (float64, bool) {
	n, decimals := int64(0), -1
	for _, c := range b {
		switch {
		case c == '.' && decimals < 0:
			decimals = 0
			continue
		case c < '0' || c > '9':
			return 0, false
		case decimals >= 0:
			decimals++
		}
		n = n*10 + int64(c-'0')
	}
	decimals = max(decimals, 0)
	if len(b) > 15 || decimals >= len(powersOfTen) {
		return 0, false
	}
	return float64(n) / powersOfTen[decimals], true
}
