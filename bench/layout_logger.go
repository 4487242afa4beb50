package bench

import (
	"fmt"
	"strings"
	"time"
)

// loggerLayouts are what the programs of logger makers export.
func loggerLayouts() []layout {
	return []layout{{
		name: "campbell-toa5", zone: "UTC", logger: numbered("L%04d/Hourly", 0), stamp: stamped(`"2006-01-02 15:04:05"`),
		path: inTurn("%s.dat"), head: toa5Head,
		row: func(b []byte, f *corpusFile, r *row) []byte {
			b = fmt.Appendf(b, `%s,%d`, r.stamp, f.before+r.n)
			for _, cell := range r.cells {
				b = append(append(b, ','), cell...)
			}
			return append(b, '\n')
		},
	}, {
		name: "campbell-array", byName: true, zone: "UTC", headless: true,
		known:  []quantity{{name: "5"}, {name: "6"}, {name: "7"}, {name: "8"}},
		logger: numbered("L%04d/101", 0), path: inTurn("%s.dat"), stamp: arrayStamp,
		row: wide(",", "101,", ""),
	}, {
		name: "insitu-vusitu", zone: "UTC", logger: numbered("%d", 900_000), stamp: stamped("2006-01-02 15:04:05.000"),
		path:  inTurn("VuSitu_%s_Log.csv"),
		known: []quantity{{"Pressure", "psi"}, {"Temperature", "°C"}, {"Depth", "m"}},
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "Report Properties\nStart Time = %s\nReadings = %d\n\nInstrument Properties\nDevice Model = Level TROLL 700\nDevice SN = %s\n\nDate Time,%s\n",
				f.start().Format(time.DateTime), f.rows, f.name, f.titles("{name} ({unit}) ("+f.name+")", ","))
		},
		row: wide(",", "", ""),
	}, {
		name: "insitu-winsitu", zone: "UTC", comma: true, logger: numbered("Weir/%d", 900_000), stamp: stamped("02.01.2006 15:04:05"),
		path: func(f *corpusFile) string {
			return fmt.Sprintf("%04d/%s.csv", f.turn, strings.TrimPrefix(f.name, "Weir/"))
		},
		known: []quantity{{"Temperature", "C"}, {"Actual Conductivity", "µS/cm"}, {"Depth", "m"}},
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "Report Date:;31.12.2024 14:53:33\nApplication:;WinSitu.exe\nApplication Version;5.6.27.1\n\nDevice Properties\nDevice;Aqua TROLL 600\nSite;Weir\nSerial Number;%s\n\nLog Data:\nRecord Count;%d\n\nDate and Time;Seconds;%s\n",
				strings.TrimPrefix(f.name, "Weir/"), f.rows, f.titles("{name} ({unit})", ";"))
		},
		row: func(b []byte, f *corpusFile, r *row) []byte {
			b = fmt.Appendf(b, "%s;%d,000", r.stamp, int(r.at.Sub(f.start()).Seconds()))
			for _, cell := range r.cells {
				b = append(append(b, ';'), cell...)
			}
			return append(b, '\n')
		},
	}, {
		name: "minidot", logger: numbered("7392-%06d", 100_000),
		known: []quantity{{"BV", "Volts"}, {"T", "deg C"}, {"DO", "mg/l"}, {"Q", ""}},
		path:  func(f *corpusFile) string { return f.name + "/" + f.start().Format("2006-01-02 150405") + "Z.txt" },
		stamp: func(t time.Time) string { return fmt.Sprint(t.Unix()) },
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "%s\nOS REV: 1.11 Sensor Cal: 1500000000\nTime (sec),  BV (Volts),  T (deg C),  DO (mg/l),  Q ()\n", f.name)
		},
		row: func(b []byte, _ *corpusFile, r *row) []byte {
			b = append(b, r.stamp...)
			for _, cell := range r.cells {
				b = fmt.Appendf(b, ",%s", cell)
			}
			return line(b, "", strings.Repeat(",", 4-len(r.cells)))
		},
	}, {
		name: "primayer-xilog", zone: "UTC", bare: true, comma: true, headless: true,
		known:  []quantity{{name: "1"}, {name: "2"}, {name: "3"}, {name: "4"}, {name: "5"}, {name: "6"}},
		logger: numbered("X%06d", 900_000), stamp: stamped("02/01/2006;15:04:05"),
		path: func(f *corpusFile) string {
			return fmt.Sprintf("%04d/%s_%s.csv", f.turn, f.name, f.at(f.rows).Format("20060102150405"))
		},
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "Device;%s\nDate;Time;%s\n", f.name, f.titles("Ch{name}", ";"))
		},
		row: wide(";", "", ""),
	}, {
		name: "sli", zone: "UTC", logger: numbered("Site %04d", 0),
		path:  func(f *corpusFile) string { return fmt.Sprintf("%04d/P%04d.PRN", f.turn, f.logger) },
		stamp: func(time.Time) string { return "" },
		head: func(b []byte, f *corpusFile) []byte {
			b = fmt.Appendf(b, "\"text\",\"Title: Standard Logger Interface - CSV file format\"\n\"text\",\"Site: %s\"\n", f.name)
			for c, q := range f.channels {
				b = fmt.Appendf(b, "\"ch\",%d,%q,%q\n", c+1, q.name, q.unit)
			}
			return fmt.Appendf(b, "\"time\",%s,%.1f,\"min\",%d\n", f.start().Format("02/01/06,15:04"), f.step.Minutes(), f.rows)
		},
		row: func(b []byte, _ *corpusFile, r *row) []byte { return cellsLine(b, ",", r) },
	}, {
		name: "solinst-levelogger", zone: "UTC", logger: numbered("%d", 9_000_000), path: inTurn("%s.csv"),
		known: []quantity{{"LEVEL", "m"}, {"TEMPERATURE", "°C"}}, stamp: stamped("2006/01/02,15:04:05"),
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "Serial_number:\n%s\nProject ID:\nNowhere\nLocation:\nWell\n%s\nDate,Time,ms,%s\n",
				f.name, f.titles("{name}\nUNIT: {unit}", "\n"), f.titles("{name}", ","))
		},
		row: wide(",", "", ",0"),
	}, {
		name: "vanessen-csv", logger: numbered("pb %04d", 0), path: inTurn("%s.csv"), stamp: stamped("2006/01/02 15:04:05"),
		known: []quantity{{"Pressure", "cm"}, {"Temperature", "°C"}, {"Conductivity", "mS/cm"}},
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(diverHead(b, f), "Date/time,%s\n", f.titles("{name}[{unit}]", ","))
		},
		row: wide(",", "", ""), foot: diverFoot,
	}, {
		name: "vanessen-mon", headless: true, logger: numbered("pb %04d", 0), path: inTurn("%s.MON"), stamp: stamped("2006/01/02 15:04:05"),
		known: []quantity{{"PRESSURE", "cm"}, {"TEMPERATURE", "°C"}, {"CONDUCTIVITY", "ms/cm"}},
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(diverHead(b, f), "[Data]\n%d\n", f.rows)
		},
		row: wide("      ", "", ""), foot: diverFoot,
	}}
}

func toa5Head(b []byte, f *corpusFile) []byte {
	station, table, _ := strings.Cut(f.name, "/")
	b = fmt.Appendf(b, "\"TOA5\",%q,\"CR1000X\",\"4711\",\"CR1000X.Std.05.01\",\"CPU:%s.CR1X\",\"1234\",%q\n", station, station, table)
	b = fmt.Appendf(b, "\"TIMESTAMP\",\"RECORD\",%s\n", f.titles(`"{name}"`, ","))
	b = append(b, `"TS","RN"`...)
	for _, q := range f.channels {
		b = fmt.Appendf(b, ",%q", q.unit)
	}
	return line(b, "", "\n\"\",\"\"", strings.Repeat(`,"Smp"`, len(f.channels)))
}

// arrayStamp is a year, its day and the time as hours and minutes without a
// colon; midnight ends a day.
func arrayStamp(t time.Time) string {
	if t.Hour() == 0 && t.Minute() == 0 {
		t = t.AddDate(0, 0, -1)
		return fmt.Sprintf("%d,%d,2400", t.Year(), t.YearDay())
	}
	return fmt.Sprintf("%d,%d,%d", t.Year(), t.YearDay(), t.Hour()*100+t.Minute())
}

func diverHead(b []byte, f *corpusFile) []byte {
	b = fmt.Appendf(b, "Data file for DataLogger.\n%s\nCOMPANY    : Nobody\n==========================    BEGINNING OF DATA     ==========================\n", strings.Repeat("=", 78))
	b = fmt.Appendf(b, "[Logger settings]\n  Instrument number       =          UTC+0     \n  Location                =%s\n", f.name)
	for c, q := range f.channels {
		b = fmt.Appendf(b, "[Channel %d]\n  Identification          =%s\n  Reference level         =0.000     %s\n", c+1, q.name, q.unit)
	}
	return append(b, "\n\n"...)
}

const diverFoot = "END OF DATA FILE OF DATALOGGER FOR WINDOWS\n"

// cellsLine appends a line of nothing but values.
func cellsLine(b []byte, sep string, r *row) []byte {
	for c, cell := range r.cells {
		if c > 0 {
			b = append(b, sep...)
		}
		b = append(b, cell...)
	}
	return append(b, '\n')
}

// hoboLayouts are the ways that HOBOware exports a plot.
func hoboLayouts() []layout {
	known := []quantity{{"Temp", "°C"}, {"RH", "%"}, {"Intensity", "Lux"}, {"Abs Pres", "kPa"}}
	whole, split := stamped("2006-01-02 15:04:05"), stamped("2006-01-02,15:04:05")
	serial := numbered("%d", 900_000)
	titles := func(f *corpusFile) string {
		return f.titles(`"{name}, {unit} (LGR S/N: `+f.name+", SEN S/N: "+f.name+`)"`, ",")
	}
	counted := func(b []byte, _ *corpusFile, r *row) []byte {
		b = fmt.Appendf(b, "%d,%s,", r.n+1, r.stamp)
		return cellsLine(b, ",", r)
	}
	return []layout{{
		name: "hobo-bare", zone: "UTC", known: known, logger: loggerName, stamp: whole, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ",", "Date Time", f.titles("{name} ({unit}) c:1", ","))
		},
		row: wide(",", "", ""),
	}, {
		name: "hobo-classic", known: known, logger: serial, stamp: whole, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "Serial Number:%s --\n\n\"Date Time, GMT +0000\",%s\n", f.name, f.titles(`"{name}, ({unit})"`, ","))
		},
		row: wide(",", "", ""),
	}, {
		name: "hobo-serial", known: known, logger: serial, stamp: whole, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ",", `"#","Date Time, GMT+00:00"`, titles(f))
		},
		row: counted,
	}, {
		name: "hobo-serial-split", known: known, logger: serial, stamp: split, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ",", `"#","Date","Time, GMT+00:00"`, titles(f))
		},
		row: counted,
	}, {
		name: "hobo-title", known: known, logger: serial, stamp: whole, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "\"Plot Title: %s\"\n\"#\",\"Date Time, GMT+00:00\",%s\n", f.name, titles(f))
		},
		row: counted,
	}, {
		name: "hobo-title-split", known: known, logger: serial, stamp: split, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return fmt.Appendf(b, "\"Plot Title: %s\"\n\"#\",\"Date\",\"Time, GMT+00:00\",%s\n", f.name, titles(f))
		},
		row: counted,
	}}
}
