package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ThisMachine describes the machine, as far as the system tells.
func ThisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0)}
	m.CPU = valueIn("/proc/cpuinfo", "model name")
	if kib, ok := strings.CutSuffix(valueIn("/proc/meminfo", "MemTotal"), " kB"); ok {
		if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
			m.Memory = n << 10
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		m.Load, _ = strconv.ParseFloat(first, 64) // 0 for what is no number
	}
	return m
}

// valueIn returns the value of the first line "key : value" of a file of the
// kernel's, "" for none.
func valueIn(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// A Usage is a moment from which the use of cores is counted.
type Usage struct {
	cpu  time.Duration
	busy float64
}

// StartUsage begins to count.
func StartUsage() Usage { return Usage{processTime(), machineBusy()} }

// Since returns the seconds of a core that were used since: by this process, and
// by all that runs on the machine; 0 where the system does not tell.
func (u Usage) Since() (cpu, busy float64) {
	cpu = (processTime() - u.cpu).Seconds()
	if now := machineBusy(); u.busy > 0 && now > 0 {
		busy = now - u.busy
	}
	return cpu, busy
}

// machineBusy returns the seconds of a core that were not idle since the machine
// started, 0 where that is not known, or where the machine has other cores than
// this process may use: then its load says nothing of theirs.
func machineBusy() float64 {
	const ticks = 100 // a second: USER_HZ, which Linux keeps at that on all that Go runs on
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	busy, cores := 0.0, 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			cores++
			continue
		}
		// user nice system idle iowait irq softirq steal; a guest's time is in user's.
		for i, field := range fields[1:9] {
			if n, err := strconv.ParseFloat(field, 64); err == nil && i != 3 && i != 4 {
				busy += n / ticks
			}
		}
	}
	if cores != runtime.GOMAXPROCS(0) {
		return 0
	}
	return busy
}
