package format

import (
	"math"
	"slices"
	"strings"
)

// A columnRole is what a column of the table is to its rows.
type columnRole uint8

const (
	isUnknown columnRole = iota
	isStamp
	isValue
	isLogger
	isChannel
	isUnit
	isQuality
	isZone
	isIgnored
)

// A guessColumn is what is known of one column of the table.
type guessColumn struct {
	name string // as the header has it, trimmed
	unit string // of the row of units, or of the header's text
	role columnRole
	why  string // it is ignored, or what shows its role
	of   int    // of a quality or unit, the column it belongs to; -1 for the row's value

	filled   int // cells that are neither empty nor a common spelling of a missing value
	numbers  int // of them, those that are numbers and nothing else
	suffixed int // numbers with something behind them
	compared int // numbers with < or > before them
	texts    int // others
	begun    int // cells that begin with a number, whatever is behind it
	missing  int // common spellings of a missing value
	suffixes map[string]int
	distinct map[string]int // its cells, up to maxDistinct of them
	firstRow int            // that is filled
	stamps   *stampColumn   // nil when it holds no timestamps
}

const maxDistinct = 400

// A guessRow is a row of one of the samples.
type guessRow struct {
	sample int
	line   int64
	cells  []string
	quoted []bool
}

// readColumns counts what the cells of each column are.
func (g *guesser) readColumns() {
	for c := range g.columns {
		col := &g.columns[c]
		col.of, col.firstRow = -1, -1
		col.distinct, col.suffixes = make(map[string]int), make(map[string]int)
		for i, row := range g.rows {
			if c >= len(row.cells) {
				continue
			}
			cell := row.cells[c]
			if cell == "" {
				continue
			}
			if slices.Contains(usuallyMissing, cell) {
				col.missing++
				continue
			}
			if col.filled == 0 {
				col.firstRow = i
			}
			col.filled++
			if len(col.distinct) < maxDistinct {
				col.distinct[cell]++
			} else if _, ok := col.distinct[cell]; ok {
				col.distinct[cell]++
			}
			n, ok := numberOf(cell)
			if ok || beginsWithFraction(cell) {
				col.begun++
			}
			switch {
			case !ok:
				col.texts++
			case n.suffix != "":
				col.suffixed++
				col.suffixes[n.suffix]++
			case n.inequality != "":
				col.compared++
			default:
				col.numbers++
			}
		}
		if col.suffixed > 0 && !col.suffixesMean() {
			col.texts += col.suffixed
			col.suffixed = 0
			clear(col.suffixes)
		}
	}
}

// beginsWithFraction reports whether a cell begins with a number that has
// decimals, and goes on in another way than numbers, dates and versions do.
func beginsWithFraction(cell string) bool {
	bare := strings.TrimLeft(cell, "+-")
	n := numberLength(bare)
	return n > 2 && n < len(bare) && strings.ContainsAny(bare[:n], ".,") && strings.IndexByte(".,:/-", bare[n]) < 0 && strings.Count(bare, ".") < 2
}

// suffixesMean reports whether what stands behind the numbers are units or
// flags, and not the rest of a text that begins with digits.
func (col *guessColumn) suffixesMean() bool {
	if len(col.suffixes) > 6 {
		return false
	}
	for s := range col.suffixes {
		if !unitLike(s) && !flagLetters().MatchString(s) {
			return false
		}
	}
	return true
}

// numeric reports whether the column holds numbers; a few other texts may stand
// among them.
func (col *guessColumn) numeric() bool {
	n := col.numbers + col.suffixed + col.compared
	return n > 0 && n >= col.texts
}

// cellsOf returns the cells of a column by row.
func (g *guesser) cellsOf(c int) []string {
	cells := make([]string, len(g.rows))
	for i, row := range g.rows {
		if c < len(row.cells) {
			cells[i] = row.cells[c]
		}
	}
	return cells
}

// valuesOf returns the numbers of a column by row, NaN where there is none.
func (g *guesser) valuesOf(c int) []float64 {
	values := make([]float64, len(g.rows))
	for i, row := range g.rows {
		values[i] = math.NaN()
		if c < len(row.cells) {
			if v, ok := g.style.value(row.cells[c]); ok {
				values[i] = v
			}
		}
	}
	return values
}

// integersOf is valuesOf for a column of integers; ok is false for others.
func (g *guesser) integersOf(c int) (values []int64, ok bool) {
	values = make([]int64, len(g.rows))
	some := false
	for i, row := range g.rows {
		values[i] = noWall
		if c >= len(row.cells) || row.cells[c] == "" || slices.Contains(usuallyMissing, row.cells[c]) {
			continue
		}
		v, ok := integerOf(row.cells[c])
		if !ok {
			return nil, false
		}
		values[i], some = v, true
	}
	return values, some
}

func integerOf(cell string) (v int64, ok bool) {
	digits := strings.TrimPrefix(cell, "-")
	if digits == "" || len(digits) > 18 {
		return 0, false
	}
	for _, c := range []byte(digits) {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if digits != cell {
		v = -v
	}
	return v, true
}

var (
	flagLetters = lazily(`^[A-Za-z*#!?]{1,2}$`)

	nameIndex    = lazily(`(?i)^(#|no\.?|nr\.?|n°|num|record( ?(no|num(ber)?))?|rec(no|nbr)?|rn|id|index|idx|row(id)?|seq(uence)?( ?(no|number))?|sample( ?(no|number))?|scan|lfd\.? ?nr\.?|pos|line|item|obs(ervation)?( ?no)?|entry|unnamed:? ?0?|)$`)
	nameElapsed  = lazily(`(?i)elapsed|^(seconds|sec|secs|minutes|hours|days)$|laufzeit|since|uptime|verstrichen|écoulé`)
	namePlace    = lazily(`(?i)^(lat(itude)?|lon(g(itude)?)?|lng|x|y|easting|northing|breite|länge|geogr.*|(x|y)[_ ]?coord.*|coord.*|elev(ation)?|altitude|height asl|gps.*)([ _(\[].*)?$`)
	nameQuality  = lazily(`(?i)(^|[ _.:-])(flags?|qc|qf|qa|quality|qual(ifier)?|qcode|cd|status|state|valid(ity)?|grade|approval|completeness|qn(_?\d*)?|error|err|remark|comment|note|bemerkung|qualité|calidad|kwaliteit|qualität|güte)([ _.:-]?(code|flag|level|id))?$`)
	nameSerial   = lazily(`(?i)serial|(^|[ _])(s/?n|sno)$|seriennummer|firmware|version|mac(_?addr.*)?$|imei|imsi`)
	nameLogger   = lazily(`(?i)(^|[ _.-])(station|site|logger|device|dev|location|locatie|lieu|standort|messstelle|mst|meter|node|well|borehole|bohrloch|gauge|gage|asset|probe|mac|lclid|unit ?id|plot|sensor_?id|deployment|stationen|estacion|estación|estacao|estação|sitio|punto|meetpunt|pegel|stanice|point|feature|facility|pod|nmi|mpan|buoy|platform|ship|usaf|wban)(s?[ _.-]?(id|ids|no|nr|num|name|number|code|key|uid|ref(erence)?|label|nummer|kennung|cd))?$`)
	nameChannel  = lazily(`(?i)(^|[ _.-])(channel|parameter|param|variable|var|measure(ment|d ?property)?|quantity|sensor|signal|tag(name)?|type|metric|element|kanal|messgröße|messgroesse|größe|grandeur|paramètre|magnitud|datastream|register|object|field|series|characteristic|analyte|determinand|observed ?property|item|point ?name|name|reading ?type|data ?type)([ _.-]?(id|no|nr|name|code|key|type|label|nummer|uri))?$`)
	nameCode     = lazily(`(?i)(^|[ _.-])(types?|typ|code|class|classification|mode)$`)
	wordEnd      = lazily(`(\p{Ll})(\p{Lu})`)
	nameValue    = lazily(`(?i)^_?(var[ _]?value|value|val|reading|result|wert|messwert|valeur|valor|data|amount|measurement ?value|numeric ?value|observation|obs ?value|data ?value|waarde|hodnota|measurement|reading ?value|result ?value)([ _.-]?\d*)?([ _(\[].*)?$`)
	nameUnit     = lazily(`(?i)^(unit|units|uom|einheit|unité|unidad|eenheid|jednotka|unit ?(name|code|of ?measure)|.*[ _]units?)$`)
	nameZone     = lazily(`(?i)^(tz|tz_cd|time ?zone|timezone|zone|zeitzone|utc ?offset|offset|fuseau.*)([ _.-]?(cd|code|id|name))?$`)
	nameTime     = lazily(`(?i)time|date|datum|zeit|uhr|heure|fecha|hora|tijd|čas|stamp|epoch|unix|\bts\b|^ts$|_dt$|^dt$|instant|when|jour`)
	nameReceived = lazily(`(?i)receiv|receipt|stmp|entry|creat|insert|updat|upload|download|modif|transmi|report|import|process|server|sync|install|calib|expir`)
	nameUTC      = lazily(`(?i)(^|[^a-z])(utc|gmt|zulu)([^a-z]|$)|_utc$`)
	nameLocal    = lazily(`(?i)(^|[^a-z])(local|lst|loc|lokal|ortszeit)([^a-z]|$)`)
	nameStart    = lazily(`(?i)start|begin|from|von|\bab\b|début|desde|inicio|van`)
	nameEnd      = lazily(`(?i)(^|[^a-z])end|\bto\b|bis|until|\bfin\b|hasta|tot|stop`)

	nameYear   = lazily(`(?i)^#?(yy(yy)?|year|yr|jahr|jaar|année|annee|año|ano|rok|y)$`)
	nameMonth  = lazily(`(?i)^(mm|mo|mon|month|monat|mois|mes|maand|měsíc|m)$`)
	nameDay    = lazily(`(?i)^(dd|dy|day|tag|jour|dia|día|dag|den|d)$`)
	nameHour   = lazily(`(?i)^(hh|hour|hr|hrs|h|stunde|std|heure|hora|uur|hour ?ending|he|hod.*)$`)
	nameMinute = lazily(`(?i)^(mm|mn|min|mins|minute|mi|m|minuut|minuto)$`)
	nameSecond = lazily(`(?i)^(ss|sec|second|seconds|s|sekunde|seconde|segundo)$`)
	nameMillis = lazily(`(?i)^(ms|msec|millis(ec(onds?)?)?|milliseconds?)$`)
	nameEpoch  = lazily(`(?i)epoch|unix`)
	nameEvery  = lazily(`(?i)^(period|interval|intervall|step|duration|dauer|durée|duración|resolution)([ _(\[].*)?$`)
	nameDoy    = lazily(`(?i)^(doy|jday|jd|julian( ?day)?|day ?of ?(the ?)?year|yday|dayofyear|day)$`)
	nameHHMM   = lazily(`(?i)^(hhmm|hhmmss|time|hrmn|hrmin|hour[_/ ]?min(ute)?|tod|uhrzeit|zeit|heure|hora|tijd)$`)
)

// units are those that instruments write, in the spellings that are met, without
// blanks and in lower case.
var units = []string{"°c", "°f", "degc", "degf", "degreesc", "degreesf", "celsius", "fahrenheit", "c", "f", "k", "kelvin", "%", "%rh", "rh%", "%sat", "percent", "pct",
	"v", "mv", "kv", "volt", "volts", "a", "ma", "amp", "amps", "w", "kw", "mw", "watt", "watts", "wh", "kwh", "mwh", "kvarh", "kvar", "var", "va", "kva", "hz", "khz", "rpm", "ohm", "ohm-cm", "ohms", "kohm", "j", "kj", "mj",
	"m", "cm", "mm", "km", "um", "µm", "nm", "ft", "feet", "foot", "in", "inch", "inches", "mhd", "mh2o", "cmh2o", "inh2o", "mmhg", "inhg", "mnn", "müa", "maod", "mod", "masl", "m.ü.m.", "mnap", "mtaw",
	"pa", "hpa", "kpa", "mpa", "bar", "mbar", "psi", "psia", "psig", "atm", "torr", "dbar",
	"l", "ml", "hl", "kl", "m3", "m³", "m^3", "gal", "ft3", "cf", "acft", "l/s", "l/min", "l/h", "l/hr", "l/d", "ls", "lps", "lpm", "m3/h", "m³/h", "m3/s", "m³/s", "m3/hr", "m3/d", "m³/d", "m^3/s", "m^3/h", "cms", "cfs", "ft3/s", "ft^3/s", "gpm", "mgd", "ml/d", "cumecs", "m3h", "l/m",
	"m/s", "km/h", "kmh", "mph", "kn", "kt", "kts", "knots", "ft/s", "cm/s", "mm/h", "mm/hr", "in/hr", "mm/d", "mm/min",
	"mg/l", "ug/l", "µg/l", "g/l", "ppm", "ppb", "ppt", "psu", "g/kg", "ntu", "fnu", "ftu", "nephelometricturbidityunits", "ph", "us/cm", "µs/cm", "ms/cm", "s/m", "ms/m", "us", "ms", "mg/m3", "µg/m3", "µg/m³", "ug/m3", "ug/m^3", "g/m3", "g/cm3", "kg/m3", "rfu", "mol/m3", "umol/l", "µmol/l", "cells/ml",
	"w/m2", "w/m²", "w/m^2", "kw/m^2", "mj/m^2", "mj/m2", "j/cm2", "j/cm^2", "wh/m2", "lux", "lx", "lum/ft²", "lum/ft2", "umol/m2/s", "µmol/m²/s", "µe", "ue", "uv", "uvi",
	"deg", "degree", "degrees", "degt", "degtrue", "°", "rad", "octas", "okta", "okt", "1/8",
	"s", "sec", "secs", "seconds", "second", "min", "mins", "minutes", "minute", "h", "hr", "hrs", "hours", "d", "days", "count", "counts", "pulses", "pulse", "imp", "raw", "db", "dbm", "g", "kg", "t", "m2", "cm2", "ha", "ntu.", "mm/5min", "mm/15min", "nmi", "hft", "mi", "€/mwh", "eur/mwh", "kg/h", "t/h", "nm3/h", "kg/s", "mwh/h", "kwh/hh", "mjm", "cmw", "mh", "cfm", "m3/m3", "m³/m³", "m^3/m^3", "dimensionless", "unitless"}

// unitLike reports whether a text may be a unit.
func unitLike(s string) bool {
	s = strings.ToLower(strings.NewReplacer(" ", "", "º", "°", "˚", "°", "μ", "µ", "·", ".").Replace(strings.TrimSpace(s)))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "in "), "[")
	if s == "" || len(s) > 24 {
		return false
	}
	if slices.Contains(units, s) {
		return true
	}
	// What is made of a unit, by division or a power, is one.
	for _, sep := range []string{"/", "*", "."} {
		if a, b, ok := strings.Cut(s, sep); ok && slices.Contains(units, a) && (slices.Contains(units, b) || unitLike(b)) {
			return true
		}
	}
	return strings.HasPrefix(s, "%") && len(s) < 8 || strings.HasPrefix(s, "°")
}
