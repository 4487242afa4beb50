package bench

import (
	"fmt"
	"strings"
	"time"
)

// serviceLayouts are what national services hand out.
func serviceLayouts() []layout {
	rdb := func(first string) func([]byte, *corpusFile) []byte {
		return func(b []byte, f *corpusFile) []byte {
			b = line(b, "\t", "# Data provided for site", strings.TrimPrefix(f.name, "USGS-"))
			b = line(b, "\t", first, f.titles("{name}\t{name}_cd", "\t"))
			kinds := "5s\t15s\t20d" + strings.Repeat("\t6s", strings.Count(first, "\t")-2)
			return line(b, "", kinds, strings.Repeat("\t14n\t10s", len(f.channels)))
		}
	}
	rdbRow := func(zone string) func([]byte, *corpusFile, *row) []byte {
		return func(b []byte, f *corpusFile, r *row) []byte {
			b = append(b, "USGS\t"+strings.TrimPrefix(f.name, "USGS-")+"\t"+r.stamp+zone...)
			for _, cell := range r.cells {
				b = fmt.Appendf(b, "\t%s\tP", cell)
			}
			return append(b, '\n')
		}
	}
	flood := []quantity{
		{"flow--Mean-15_min-m3_s", "m3_s"}, {"level-stage-i-15_min-mASD", "mASD"},
		{"rainfall-tipping_bucket_raingauge-t-15_min-mm", "mm"}, {"temperature-dry_bulb-i-15_min-deg_C", "deg_C"},
	}
	const measures = "http://environment.data.gov.uk/flood-monitoring/id/measures/"
	return []layout{{
		name: "ea-flood", known: flood, logger: loggerName, stamp: stamped(time.RFC3339), path: inTurn("%s.csv"),
		head: func(b []byte, _ *corpusFile) []byte { return line(b, ",", "dateTime", "measure", "value") },
		row: func(b []byte, f *corpusFile, r *row) []byte {
			for c, cell := range r.cells {
				b = line(b, ",", r.stamp, measures+f.name+"-"+f.channels[c].name, string(cell))
			}
			return b
		},
	}, {
		name: "ea-flood-full", known: flood, logger: loggerName, stamp: stamped(time.RFC3339), path: inTurn("%s.csv"),
		head: func(b []byte, _ *corpusFile) []byte {
			return line(b, "", "dateTime,date,measure,station,label,stationReference,parameter,qualifier,datumType,period,unitName,valueType,value")
		},
		row: func(b []byte, f *corpusFile, r *row) []byte {
			for c, cell := range r.cells {
				q := f.channels[c]
				b = line(b, ",", r.stamp, r.at.Format(time.DateOnly), measures+f.name+"-"+q.name,
					"http://environment.data.gov.uk/flood-monitoring/id/stations/"+f.name, `"Mill, Upper"`, f.name,
					q.name[:strings.IndexByte(q.name, '-')], "Stage", "", "900.0", q.unit, "instantaneous", string(cell))
			}
			return b
		},
	}, {
		name: "ea-hydrology", logger: numbered("00000000-0000-4000-8000-%012x", 1), stamp: stamped("2006-01-02T15:04:05"),
		known: []quantity{{"flow-i-900-m3s-qualified", "m3s"}, {"level-i-900-m-qualified", "m"}, {"rainfall-t-900-mm-qualified", "mm"}},
		path:  inTurn("%s.csv"),
		head:  func(b []byte, _ *corpusFile) []byte { return line(b, ",", "measure", "dateTime", "date", "value") },
		row: func(b []byte, f *corpusFile, r *row) []byte {
			for c, cell := range r.cells {
				b = line(b, ",", "http://environment.data.gov.uk/hydrology/id/measures/"+f.name+"-"+f.channels[c].name,
					r.stamp, r.at.Format(time.DateOnly), string(cell))
			}
			return b
		},
	}, {
		name: "nwis-iv", logger: numbered("USGS-%08d", 9_000_000), stamp: stamped("2006-01-02 15:04"), path: inTurn("%s.rdb"),
		known: []quantity{{"40346_00060", "ft3/s"}, {"40347_00065", "ft"}, {"40348_00010", "degC"}, {"40349_00045", "in"}},
		head:  rdb("agency_cd\tsite_no\tdatetime\ttz_cd"), row: rdbRow("\tUTC"),
	}, {
		name: "nwis-dv", zone: "UTC", step: 24 * time.Hour, logger: numbered("USGS-%08d", 9_000_000), stamp: stamped(time.DateOnly), path: inTurn("%s.rdb"),
		known: []quantity{{"40346_00060_00003", "ft3/s"}, {"40347_00065_00003", "ft"}, {"40348_00010_00003", "degC"}},
		head:  rdb("agency_cd\tsite_no\tdatetime"), row: rdbRow(""),
	}, {
		name: "dwd-cdc", zone: "UTC", bare: true, step: time.Hour, known: []quantity{{name: "TT_TU"}, {name: "RF_TU"}},
		logger: numbered("%d", 10_000), stamp: stamped("2006010215"), path: inTurn("produkt_tu_stunde_20240101_20241231_%s.txt"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ";", "STATIONS_ID", "MESS_DATUM", "QN_9", f.titles("{name}", ";"), "eor")
		},
		row: dwdRow,
	}, {
		name: "dwd-cdc-10min", step: 10 * time.Minute,
		known:  []quantity{{"TT_10", "degC"}, {"PP_10", "hPa"}, {"TM5_10", "degC"}, {"RF_10", "%"}, {"TD_10", "degC"}},
		logger: numbered("%d", 10_000), stamp: stamped("200601021504"), path: inTurn("produkt_zehn_min_tu_20240101_20241231_%s.txt"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ";", "STATIONS_ID", "MESS_DATUM", "  QN", f.titles("{name}", ";"), "eor")
		},
		row: dwdRow,
	}, {
		name: "dsmr-reader", bare: true, loggers: 1, step: time.Hour, stamp: stamped(time.RFC3339),
		known:  []quantity{{name: "Electricity 1 (Dutch Users: Low Tariff)"}, {name: "Electricity 2 (Dutch Users: Normal Tariff)"}, {name: "Gas"}},
		logger: func(int) string { return "dsmr" }, path: inTurn("export-hour.csv%.0s"),
		head: func(b []byte, f *corpusFile) []byte { return line(b, ",", "Hour Start", f.titles("{name}", ",")) },
		row:  wide(",", "", ""),
	}}
}

func dwdRow(b []byte, f *corpusFile, r *row) []byte {
	b = fmt.Appendf(b, "%11s;%s;    3", f.name, r.stamp)
	for _, cell := range r.cells {
		b = fmt.Appendf(b, ";%6s", cell)
	}
	return append(b, ";eor\n"...)
}

// stationLayouts are those of weather stations and buoys, in columns that are
// always there: what is not recorded is written as missing.
func stationLayouts() []layout {
	return []layout{{
		name: "isd-lite", headless: true, step: time.Hour, grain: 100, tenths: true,
		known:  []quantity{{"air_temperature", "degC"}, {"dew_point", "degC"}, {"sea_level_pressure", "hPa"}},
		logger: numbered("%06d-99999", 0), stamp: stamped("2006 01 02 15"), path: inTurn("%s-2024"),
		row: func(b []byte, _ *corpusFile, r *row) []byte {
			b = append(b, r.stamp...)
			for _, cell := range r.cells {
				b = fmt.Appendf(b, " %5s", cell)
			}
			return line(b, "", strings.Repeat(" -9999", 8-len(r.cells)))
		},
	}, {
		name: "midas-open", step: time.Hour, logger: numbered("%d-SYNOP", 10_000), stamp: stamped(time.DateTime),
		known: []quantity{{"wind_speed", "knot"}, {"air_temperature", "degC"}, {"dewpoint", "degC"}, {"msl_pressure", "hPa"}},
		path:  inTurn("midas-open_uk-hourly-weather-obs_dv-202407_nowhere_%s_2024.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			b = append(b, "Conventions,G,BADC-CSV,1\nmissing_value,G,NA\n"...)
			for _, q := range f.channels {
				b = fmt.Appendf(b, "long_name,%s,what is measured,%s\n", q.name, q.unit)
			}
			return line(b, ",", "data\nob_time", "id", "id_type", "met_domain_name", "version_num", "src_id", "rec_st_ind", f.titles("{name},{name}_q", ","), "meto_stmp_time")
		},
		row: func(b []byte, f *corpusFile, r *row) []byte {
			b = fmt.Appendf(b, "%s,3,WMO,SYNOP,1,%s,1001", r.stamp, strings.TrimSuffix(f.name, "-SYNOP"))
			for _, cell := range r.cells {
				b = fmt.Appendf(b, ",%s,6", cell)
			}
			return fmt.Appendf(b, ",%s\n", r.at.Add(5*time.Minute).Format(time.DateTime))
		},
		foot: "end data\n",
	}, {
		name: "ndbc-stdmet", logger: numbered("%05d", 10_000), stamp: stamped("2006 01 02 15 04"), path: inTurn("%sh2024.txt"),
		known: []quantity{{"WDIR", "degT"}, {"WSPD", "m/s"}, {"GST", "m/s"}, {"WVHT", "m"}},
		head: func(b []byte, _ *corpusFile) []byte {
			return line(b, "", `#YY  MM DD hh mm WDIR WSPD GST  WVHT   DPD   APD MWD   PRES  ATMP  WTMP  DEWP  VIS  TIDE
#yr  mo dy hr mn degT m/s  m/s     m   sec   sec degT   hPa  degC  degC  degC   mi    ft`)
		},
		row: func(b []byte, _ *corpusFile, r *row) []byte {
			b = append(b, r.stamp...)
			for _, cell := range r.cells {
				b = fmt.Appendf(b, " %5s", cell)
			}
			return line(b, "", strings.Repeat("  MM", 13-len(r.cells)))
		},
	}, {
		name: "uscrn-hourly", headless: true, step: time.Hour, logger: numbered("%d", 10_000), path: inTurn("CRNH0203-2024-XX_Nowhere_%s_N.txt"),
		known: []quantity{{"T_CALC", "degC"}, {"T_HR_AVG", "degC"}, {"T_MAX", "degC"}, {"T_MIN", "degC"}, {"P_CALC", "mm"}},
		stamp: stamped("20060102 1504"),
		row:   uscrnRow("2.622", 5, strings.Repeat(" -99999 0", 3)+" U"+strings.Repeat(" -9999.0 0", 3)+" -9999 0"+strings.Repeat(" -99.000", 5)+strings.Repeat(" -9999.0", 5)),
	}, {
		name: "uscrn-subhourly", headless: true, step: 5 * time.Minute, logger: numbered("%d", 10_000), path: inTurn("CRNS0101-05-2024-XX_Nowhere_%s_N.txt"),
		known: []quantity{{"AIR_TEMPERATURE", "degC"}, {"PRECIPITATION", "mm"}}, stamp: stamped("20060102 1504"),
		row: uscrnRow("3", 2, " -99999 0 -9999.0 U 0 -9999 0 -99.000 -9999.0 -9999 0 -99.00 0"),
	}}
}

// uscrnRow writes the first columns of measurements, as many as there are, and
// the rest as given.
func uscrnRow(version string, first int, rest string) func([]byte, *corpusFile, *row) []byte {
	return func(b []byte, f *corpusFile, r *row) []byte {
		b = fmt.Appendf(b, "%s %s %s %s  -87.88   30.55", f.name, r.stamp, r.at.Add(-6*time.Hour).Format("20060102 1504"), version)
		for _, cell := range r.cells {
			b = fmt.Appendf(b, " %7s", cell)
		}
		return line(b, "", strings.Repeat(" -9999.0", first-len(r.cells)), rest)
	}
}
