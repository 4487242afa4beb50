package format

import (
	"strings"
	"testing"

	"penstock/ingest"
)

const (
	stampFirst = "\ntimestamp: {column: 1, layout: rfc3339}\n"
	t0, t1, t2 = "2024-01-05T00:00:00Z", "2024-01-05T00:15:00Z", "2024-01-05T00:30:00Z"
)

func TestLoggersInHeader(t *testing.T) {
	for _, c := range []cellCase{
		{"a logger per column", "shape: wide\ncolumns_are: logger\nchannel: {file_name: '^(?P<channel>\\w+)-(?P<unit>\\w+)\\.'}" + stampFirst, "in/pressure-m.csv",
			"t,p1,p2\n" + t0 + ",1,2\n" + t1 + ",,4\n",
			"p1/pressure [m] 2024-01-05T00:00Z 1\np2/pressure [m] 2024-01-05T00:00Z 2\np2/pressure [m] 2024-01-05T00:15Z 4\n", "", ""},
		{"a logger twice", "shape: wide\ncolumns_are: logger\nchannel: {constant: pressure}" + stampFirst, "",
			"t,p1,p1\n" + t0 + ",1,2\n", "", "", `columns 2 and 3 of line 1 are both logger "p1"`},
		{"a row of loggers above the names", "shape: wide\nframing: {rows: [loggers, names, units]}" + stampFirst, "",
			"site,A,,B,\nt,flow,level,flow,level\n,l/s,m,l/s,m\n" + t0 + ",1,2,3,4\n",
			"A/flow [l/s] 2024-01-05T00:00Z 1\nA/level [m] 2024-01-05T00:00Z 2\nB/flow [l/s] 2024-01-05T00:00Z 3\nB/level [m] 2024-01-05T00:00Z 4\n", "", ""},
		{"a column without a logger", "shape: wide\nframing: {rows: [loggers, names]}" + stampFirst, "",
			",,B\nt,flow,level\n" + t0 + ",1,2\n", "", "", `the header names no logger for column 2 of line 2, "flow"`},
		{"a row of channels below the loggers' numbers", "shape: wide\ncolumns_are: logger\nframing: {rows: [names, channels]}" + stampFirst, "",
			"t,7,8\n,flow,level\n" + t0 + ",1,2\n", "7/flow [] 2024-01-05T00:00Z 1\n8/level [] 2024-01-05T00:00Z 2\n", "", ""},
		{"logger and channel in one text", "shape: wide\nchannels: [{column: {match: '^(?P<logger>[^.]+)\\.(?P<channel>\\w+)( \\[(?P<unit>.*)\\])?$'}}]" + stampFirst, "",
			"t,A.flow [l/s],B.flow\n" + t0 + ",1,2\n", "A/flow [l/s] 2024-01-05T00:00Z 1\nB/flow [] 2024-01-05T00:00Z 2\n", "", ""},
	} {
		t.Run(c.name, c.run)
	}
}

func TestPairs(t *testing.T) {
	head := "shape: wide\nlogger: {constant: L}\n"
	for _, c := range []cellCase{
		{"a quality beside every value", head + "pairs: quality" + stampFirst, "",
			"t,flow,,level,f\n" + t0 + ",1,G,2,\n" + t1 + ",,B,3,S\n",
			"L/flow [] 2024-01-05T00:00Z 1 G\nL/level [] 2024-01-05T00:00Z 2\nL/level [] 2024-01-05T00:15Z 3 S\n", "", ""},
		{"no column beside the last", head + "pairs: quality" + stampFirst, "", "t,flow,f,level\n" + t0 + ",1,G,2\n", "", "", `column 4 of line 1, "level", has no column with its quality beside it`},
		{"a unit beside every value", head + "pairs: unit" + stampFirst, "",
			"t,flow,u,level,u\n" + t0 + ",1,l/s,2,\n" + t1 + ",2,,3,m\n" + t2 + ",3,m3/h,4,\n",
			"L/flow [l/s] 2024-01-05T00:00Z 1\nL/level [] 2024-01-05T00:00Z 2\nL/flow [l/s] 2024-01-05T00:15Z 2\nL/level [] 2024-01-05T00:30Z 4\n",
			"3:4 another unit, \"m\": the series has \"\" since line 2\n4:2 another unit, \"m3/h\": the series has \"l/s\" since line 2\n", ""},
		{"the header again is no new beginning", "signature: {header: [t], others: true}\n" + head + "pairs: unit" + stampFirst, "",
			"t,q,u\n" + t0 + ",1,m\nt,q,u,r,u\n" + t1 + ",2,cm,3,m\n",
			"L/q [m] 2024-01-05T00:00Z 1\nL/r [m] 2024-01-05T00:15Z 3\n", "4:2 another unit, \"cm\": the series has \"m\" since line 2\n", ""},
		{"what is ignored has no pair", head + "pairs: quality\nignore: {columns: [note]}" + stampFirst, "",
			"t,note,flow,f\n" + t0 + ",x,1,G\n", "L/flow [] 2024-01-05T00:00Z 1 G\n", "", ""},
	} {
		t.Run(c.name, c.run)
	}
}

func TestNamesOfChannels(t *testing.T) {
	head := "shape: wide\nlogger: {constant: L}\n"
	long := "shape: long\nlogger: {constant: L}\nchannel: {column: c}\nvalue: v" + stampFirst
	for _, c := range []cellCase{
		{"repeated labels are numbered", head + "repeated: number" + stampFirst, "",
			"t,T,T,T (2),T\n" + t0 + ",1,2,3,4\n",
			"L/T [] 2024-01-05T00:00Z 1\nL/T (2) [] 2024-01-05T00:00Z 2\nL/T (2) (2) [] 2024-01-05T00:00Z 3\nL/T (3) [] 2024-01-05T00:00Z 4\n", "", ""},
		{"what patterns make the same is numbered", head + "repeated: number\nchannels: [{column: {match: '^(?P<channel>\\w+), S/N'}}]" + stampFirst, "",
			"t,\"T, S/N 1\",\"T, S/N 2\"\n" + t0 + ",1,2\n", "L/T [] 2024-01-05T00:00Z 1\nL/T (2) [] 2024-01-05T00:00Z 2\n", "", ""},
		{"labels that differ by a blank are kept apart", head + stampFirst, "",
			"t,T 1,T  1\n" + t0 + ",1,2\n", "L/T 1 [] 2024-01-05T00:00Z 1\nL/T  1 [] 2024-01-05T00:00Z 2\n", "", ""},
		{"so are those that differ by the last", head + "dialect: {trim: false}" + stampFirst, "",
			"t,T,T \n" + t0 + ",1,2\n", "L/T [] 2024-01-05T00:00Z 1\nL/T  [] 2024-01-05T00:00Z 2\n", "", ""},
		{"renamed", head + "rename: {Flow1: flow}" + stampFirst, "", "t,Flow1,p\n" + t0 + ",1,2\n", "L/flow [] 2024-01-05T00:00Z 1\nL/p [] 2024-01-05T00:00Z 2\n", "", ""},
		{"two names that swap", head + "rename: {a: b, b: a}" + stampFirst, "", "t,a,b\n" + t0 + ",1,2\n", "L/b [] 2024-01-05T00:00Z 1\nL/a [] 2024-01-05T00:00Z 2\n", "", ""},
		{"renamed to another of the file", head + "rename: {Flow1: flow}" + stampFirst, "", "t,Flow1,flow\n" + t0 + ",1,2\n", "", "", `both channel "flow"`},
		{"a long file's channel", long + "rename: {Flow1: flow}", "", "t,c,v\n" + t0 + ",Flow1,1\n" + t1 + ",p,2\n", "L/flow [] 2024-01-05T00:00Z 1\nL/p [] 2024-01-05T00:15Z 2\n", "", ""},
		{"a long file's channel, to another of it", long + "rename: {Flow1: flow}", "", "t,c,v\n" + t0 + ",Flow1,1\n" + t1 + ",flow,2\n",
			"L/flow [] 2024-01-05T00:00Z 1\n", "3:2 the channel \"flow\" is carried on as \"flow\", and so is \"Flow1\" of the same file\n", ""},
		{"names out of formulas", head + stampFirst, "", "t,=\"5414\"\n=\"" + t0 + "\",=\"1.5\"\n", "L/5414 [] 2024-01-05T00:00Z 1.5\n", "", ""},
		{"a logger out of a formula", "shape: long\nlogger: {column: l}\nchannel: {constant: q}\nvalue: v" + stampFirst, "", "t,l,v\n" + t0 + ",=\"5414\",1\n", "5414/q [] 2024-01-05T00:00Z 1\n", "", ""},
		{"columns joined", "shape: long\nlogger: {columns: [a, b]}\nchannel: {columns: [c, d], join: ' ', match: '^(?P<channel>\\w+) (?P<unit>\\w+)$'}\nvalue: v" + stampFirst, "",
			"t,a,b,c,d,v\n" + t0 + ",5s,0123,flow,lps,1\n" + t1 + ",5s,,flow,lps,1\n",
			"5s-0123/flow [lps] 2024-01-05T00:00Z 1\n", "3:2 the logger is joined of 2 cells, and one is empty\n", ""},
		{"a folder", "shape: wide\nlogger: {path: '(?P<logger>[^/]+)/\\d+/[^/]+\\.csv$'}" + stampFirst, "/data/site 7/2024/x.csv.gz", "t,q\n" + t0 + ",1\n", "site 7/q [] 2024-01-05T00:00Z 1\n", "", ""},
		{"no such folder", "shape: wide\nlogger: {path: 'site (?P<logger>\\d+)/'}" + stampFirst, "data/x.csv", "t,q\n" + t0 + ",1\n", "", "", `the file's path, "data/x.csv", tells no logger`},
	} {
		t.Run(c.name, c.run)
	}
}

// TestPathIsPartOfIdentity holds that equal bytes in two folders are two
// loggers' files where the folder names the logger.
func TestPathIsPartOfIdentity(t *testing.T) {
	d := decoderFor(t, "name: p\nshape: wide\nlogger: {path: '(?P<logger>[^/]+)/[^/]+$'}"+stampFirst, Settings{})
	text := "t,q\n" + t0 + ",1\n"
	_, a := decodeOne(t, d, "a/x.csv", text)
	_, b := decodeOne(t, d, "b/x.csv", text)
	_, c := decodeOne(t, d, "z/a/x.csv", text)
	if a.Identity == b.Identity || a.Identity != c.Identity {
		t.Errorf("identities %x, %x and %x", a.Identity[:4], b.Identity[:4], c.Identity[:4])
	}
}

func TestColumnsFromPreamble(t *testing.T) {
	sli := `
framing: {preamble: {through: '^"time",'}, columns_from: {preamble: '^"ch",\d+,"(?P<channel>[^"]+)","(?P<unit>[^"]*)"', first: [t]}, records: ',(?P<records>\d+)$'}
shape: wide
logger: {preamble: '^"text","Site: *(?P<logger>[^"]+)"'}` + stampFirst
	mon := `
dialect: {delimiter: space}
framing:
  preamble: {through: '^\[Data\]'}
  columns_from: {preamble: '(?m)^\[Channel \d+\]\n *Identification += *(?P<channel>.*?) *\n *Range +=.* (?P<unit>\S+)$', first: [t]}
  footer: '^END OF DATA'
shape: wide
logger: {preamble: '(?s)Location += *(?P<logger>\w+)\n'}` + stampFirst
	for _, c := range []cellCase{
		{"a line a column", sli, "", "\"text\",\"Site: Parkstone\"\n\"ch\",1,\"flow\",\"l/s\"\n\"ch\",2,\"pressure\",\"m\"\n\"time\",2\n" + t0 + ",46.17,16.51\n" + t1 + ",43.59,16.70\n",
			"Parkstone/flow [l/s] 2024-01-05T00:00Z 46.17\nParkstone/pressure [m] 2024-01-05T00:00Z 16.51\nParkstone/flow [l/s] 2024-01-05T00:15Z 43.59\nParkstone/pressure [m] 2024-01-05T00:15Z 16.7\n", "", ""},
		{"sections of several lines", mon, "", "[Logger settings]\r\n  Location = born\r\n[Channel 1]\r\n  Identification  =PRESSURE\r\n  Range           =2000 cmH2O\r\n[Channel 2]\r\n  Identification  =AIR TEMP\r\n  Range           =120 °C\r\n[Data]\r\n" + t0 + "   1029.767   19.053\r\nEND OF DATA FILE\r\n",
			"born/PRESSURE [cmH2O] 2024-01-05T00:00Z 1029.767\nborn/AIR TEMP [°C] 2024-01-05T00:00Z 19.053\n", "", ""},
		{"rows without times", strings.Replace(strings.Replace(sli, ", first: [t]", "", 1), "timestamp: {column: 1, layout: rfc3339}",
			"timestamp: {start: {preamble: '^\"time\",(?P<time>[^,]*,[^,]*)', layout: '02/01/06,15:04'}, every: {preamble: '^\"time\",[^,]*,[^,]*,(?P<every>[^,]*),\"(?P<unit>\\w+)\"'}, zone: UTC}", 1),
			"", "\"text\",\"Site: Parkstone\"\n\"ch\",1,\"flow\",\"l/s\"\n\"ch\",2,\"pressure\",\"m\"\n\"time\",17/03/93,11:45,15.0,\"min\",3\n46.17,16.51\n,x\n43.59,16.70\n",
			"Parkstone/flow [l/s] 1993-03-17T11:45Z 46.17\nParkstone/pressure [m] 1993-03-17T11:45Z 16.51\nParkstone/flow [l/s] 1993-03-17T12:15Z 43.59\nParkstone/pressure [m] 1993-03-17T12:15Z 16.7\n",
			"6:2 not a number: \"x\" (expected digits with a decimal point)\n", ""},
		{"none", sli, "", "\"text\",\"Site: Parkstone\"\n\"time\",2\n" + t0 + ",46.17,16.51\n", "", "", "no line before the data names a column"},
		{"one twice", sli, "", "\"text\",\"Site: P\"\n\"ch\",1,\"flow\",\"l/s\"\n\"ch\",2,\"flow\",\"l/s\"\n\"time\",2\n" + t0 + ",46.17,16.51\n", "", "", `both channel "flow"`},
	} {
		t.Run(c.name, c.run)
	}
}

func TestDeclaredRecords(t *testing.T) {
	const before = "framing: {preamble: 1, records: 'Records: (?P<records>\\d+)', footer: '^(Total|Records)', message: '^#'}\nshape: wide\nlogger: {constant: L}" + stampFirst
	for _, c := range []struct{ name, text, want string }{
		{"as many", "Records: 2\nt,q\n" + t0 + ",1\n" + t1 + ",x\n", ""},
		{"fewer", "Records: 3\nt,q\n" + t0 + ",1\n" + t1 + ",2\n", "the file says that it has 3 records, and it has 2"},
		{"more, told at the end", "head\nt,q\n" + t0 + ",1\n" + t1 + ",2\nRecords: 1\n", "the file says that it has 1 records, and it has 2"},
		{"in the middle of the footer", "head\nt,q\n" + t0 + ",1\nTotal\n\nRecords: 1\n", ""},
		{"none", "head\nt,q\n" + t0 + ",1\n", ""},
		{"too many to count", "Records: 99999999999999999999\nt,q\n" + t0 + ",1\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s := decodeOne(t, decoderFor(t, "name: r\n"+before, Settings{}), "a.csv", c.text)
			if got := strings.Join(s.Notes, "\n"); s.State != ingest.Loaded || got != c.want {
				t.Errorf("%s %s, notes %q, want %q", s.State, s.Reason, got, c.want)
			}
		})
	}
}

func TestMultiplyAndAdd(t *testing.T) {
	long := "shape: long\nlogger: {constant: L}\nchannel: {constant: q}\nvalue: v\nfactor: f" + stampFirst
	for _, c := range []cellCase{
		{"a column's", "shape: wide\nlogger: {constant: L}\nothers: channel\nchannels: [{column: T, multiply: 1.8, add: 32, unit: F}, {column: p, multiply: 10}]" + stampFirst, "",
			"t,T,p,q\n" + t0 + ",10,1.5,1\n" + t1 + ",-9999,1e308,2\n", "L/T [F] 2024-01-05T00:00Z 50\nL/p [] 2024-01-05T00:00Z 15\nL/q [] 2024-01-05T00:00Z 1\nL/T [F] 2024-01-05T00:15Z -17966.2\nL/q [] 2024-01-05T00:15Z 2\n",
			"3:3 too large a number once it is multiplied\n", ""},
		{"a row's", long, "", "t,v,f\n" + t0 + ",10,0.1\n" + t1 + ",3,\n" + t2 + ",4,=\"1000\"\n", "L/q [] 2024-01-05T00:00Z 1\nL/q [] 2024-01-05T00:30Z 4000\n", "3:2 the factor in column 3 is not a number: \"\"\n", ""},
		{"a row's, and it is not there", long, "", "t,v\n" + t0 + ",10\n", "", "", `the header has no column "f" (factor)`},
	} {
		t.Run(c.name, c.run)
	}
}
