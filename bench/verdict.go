package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	// fullCores is the share of the cores from which on they are taken to be what
	// more of anything else would not help against.
	fullCores = 0.85
	// idleWorkers is the share of their time that workers wait for files from
	// which on it is not their work that takes the time.
	idleWorkers = 0.5
	// muchBeside is the share of the cores that others use, where no database is
	// among them, from which on they may be what takes the time.
	muchBeside = 0.25
	// noisy is the spread of equal runs from which on it is said.
	noisy = 0.1
)

// judge words what the statistics come to.
func (a *Analysis) judge() {
	v := &a.Verdict
	v.Bottleneck = Unclear
	if a.Best == nil {
		v.Best = "No cell came to an end."
		v.Advice = "See why the cells failed."
		a.note()
		return
	}
	v.Best = a.wordBest()
	v.Least = a.wordLeast()
	v.Bottleneck, v.Evidence = a.bottleneck()
	v.Auto = a.wordAuto()
	v.Config = fmt.Sprintf("pipeline: {workers: %d, chunk: %d}", a.Fastest().Workers, a.Fastest().Chunk)
	v.Advice = a.advise()
	a.note()
}

func (a *Analysis) wordBest() string {
	b := a.Best
	text := fmt.Sprintf("The best cell is %s with %s", named(b.Cell), Seconds(b.Median))
	by := ""
	if b.N < enough {
		by = " by the spread of all cells"
	}
	if b.N == 1 {
		text += " (one run)"
	} else {
		text += fmt.Sprintf(" (median of %d runs, 95 %% interval%s %s to %s)", b.N, by, Seconds(b.Lo), Seconds(b.Hi))
	}
	if a.Base != b {
		text += fmt.Sprintf(", %.1f times as fast as %s", b.Speedup, a.Base.Cell)
	}
	alike, more := 0, 0
	for i := range a.Cells {
		switch c := &a.Cells[i]; {
		case c == b || c.N == 0:
		case c.Alike:
			alike++
		default:
			more++
		}
	}
	switch {
	case alike+more == 0:
		return text + "; it is the only one."
	case !a.Compared:
		return text + ". It is not sure: nothing ran twice, and what equal runs differ by is not known."
	case more == 0:
		return fmt.Sprintf("%s. It is not sure: none of the others can be told from it.", text)
	case alike > 0:
		return fmt.Sprintf("%s. %d of the %d other cells cannot be told from it.", text, alike, alike+more)
	}
	slower := "the other is slower than chance explains"
	if more > 1 {
		slower = fmt.Sprintf("each of the %d others is slower than chance explains", more)
	}
	if a.Noise.loud() || a.Result.Machine.busy() {
		return fmt.Sprintf("%s. As far as a machine that is not quiet can tell, %s.", text, slower)
	}
	return fmt.Sprintf("%s. It is sure: %s.", text, slower)
}

// wordLeast tells of smaller cells, where it is known which are as good.
func (a *Analysis) wordLeast() string {
	l, b := a.Least, a.Best
	switch {
	case !a.Compared || len(a.Cells) == 1:
		return ""
	case l == b:
		return fmt.Sprintf("No smaller cell is as good: within %.0f %% of the best's median, and not to be told from it.", 100*little)
	case a.sameWork(l, b):
		return fmt.Sprintf("The smallest cell as good is %s: it does the same work with %s.", named(l.Cell), l.savings(b))
	}
	return fmt.Sprintf("The smallest cell as good, as far as %s tell, is %s with %s: %s the best's median, with %s.",
		counted(l.N, "run"), named(l.Cell), Seconds(l.Median), against(l.Median, b.Median), l.savings(b))
}

// savings words what a smaller cell needs less of.
func (c *CellStats) savings(than *CellStats) string {
	var less []string
	if c.Workers < than.Workers {
		less = append(less, fmt.Sprintf("%s instead of %d", counted(c.Workers, "worker"), than.Workers))
	}
	if own, other := c.inMemory(), than.inMemory(); own < other {
		less = append(less, fmt.Sprintf("at most %s in memory instead of %d", counted(own, "file"), other))
	}
	return strings.Join(less, " and ")
}

func (a *Analysis) wordAuto() string {
	x, b := a.Auto, a.Best
	if x == nil {
		return ""
	}
	text := fmt.Sprintf("workers: auto and chunk: auto stand for %s here", x.Cell)
	how := fmt.Sprintf("%s, %s the best's median", Seconds(x.Median), against(x.Median, b.Median))
	if x.Alike {
		how += ", which chance may explain"
	}
	switch {
	case x == b:
		return text + ": the best cell."
	case a.At(x.Cell) == nil:
		return fmt.Sprintf("%s, outside of the grid: %s.", text, how)
	}
	return fmt.Sprintf("%s: %s.", text, how)
}

// Fastest is the best cell, or what auto stands for where that lies outside of the
// grid and was faster; nil where no cell came to an end.
func (a *Analysis) Fastest() *CellStats {
	if a.Auto != nil && a.Auto.Median < a.Best.Median {
		return a.Auto
	}
	return a.Best
}

// AutoIsAsGood reports whether the automatic choice needs no change: it lacks little
// of the best cell, or does the same work.
func (a *Analysis) AutoIsAsGood() bool {
	return a.Auto != nil && (a.Auto.Median <= a.Best.Median*(1+little) || a.sameWork(a.Auto, a.Best))
}

func (a *Analysis) advise() string {
	if stage := a.Result.Settings.Stage; stage != "load" {
		return fmt.Sprintf("This is of the %s stage alone: what to put in the config, a sweep of the load tells.", stage) + a.wordHelp()
	}
	switch {
	case a.Fastest() != a.Best:
		return "Leave workers and chunk at auto: that cell was faster than all of the grid, and --apply writes it." + a.wordHelp()
	case a.AutoIsAsGood():
		return fmt.Sprintf("Leave workers and chunk at auto: they are within %.0f %% of the best cell, which --apply writes all the same.", 100*little) + a.wordHelp()
	case a.Auto != nil && a.Auto.Alike:
		return "The best cell may be better than auto, or luckier: more sets tell. --apply writes it." + a.wordHelp()
	case a.Least != a.Best:
		return fmt.Sprintf("Put the best cell into the config, or %s, which is as good.", a.Least.Cell) + a.wordHelp()
	}
	return "Put the best cell into the config." + a.wordHelp()
}

// wordHelp tells what would help against the bottleneck.
func (a *Analysis) wordHelp() string {
	switch a.Verdict.Bottleneck {
	case BoundByCores:
		if a.Result.Machine.busy() {
			return " To be faster, it needs more cores, or less beside it that uses them."
		}
		return " To be faster, it needs more cores."
	case BoundByDatabase:
		return " To be faster, it needs a faster database: look at its disk's time to sync, at its settings, at other tables' work, at the network in between."
	case BoundByNetwork:
		return " To be faster, it needs more connections, or a server or network that answers sooner."
	case BoundByReading:
		return " To be faster, it needs a faster disk, or fewer and larger files."
	case BoundByDecoding, Unclear:
	}
	return ""
}

// bottleneck says what the best cell's time went into, and with what numbers.
// Its samples are added up: shares of sums are steadier than those of one run.
func (a *Analysis) bottleneck() (Bottleneck, []string) {
	var sum Sample
	for _, x := range a.Best.Runs {
		sum.Seconds += x.Seconds
		sum.CPU += x.CPU
		sum.Busy += x.Busy
		sum.Fetch += x.Fetch
		sum.Decode += x.Decode
		sum.Commit += x.Commit
	}
	if sum.Seconds <= 0 {
		return Unclear, nil
	}
	cores := float64(a.Result.Machine.Cores)
	used, evidence := sum.CPU, []string(nil)
	if sum.Busy > 0 {
		used = min(max(sum.Busy, sum.CPU), cores*sum.Seconds) // the system counts in ticks
		others := "other programs"
		if a.Result.Settings.Store != "" {
			others = "other programs, the database among them if it runs here"
		}
		evidence = append(evidence, fmt.Sprintf("Of %.0f cores, %.2f were busy: %.2f with Penstock, %.2f with %s.",
			cores, used/sum.Seconds, sum.CPU/sum.Seconds, (used-sum.CPU)/sum.Seconds, others))
	} else if sum.CPU > 0 {
		evidence = append(evidence, fmt.Sprintf("Of %.0f cores, Penstock used %.2f; what else was busy, the system does not tell.", cores, sum.CPU/sum.Seconds))
	}
	all := sum.Seconds * float64(a.works[a.Best.Cell].Workers) // the others have nothing to do at all
	waiting := max(0, 1-(sum.Fetch+sum.Decode+sum.Commit)/all)
	decoding, committing := "decoding", "committing"
	switch a.Result.Settings.Stage {
	case "fetch":
		decoding, committing = "hashing", "keeping count"
	case "decode":
		committing = "keeping count"
	}
	evidence = append(evidence, fmt.Sprintf("Of the workers' time, fetching took %s, %s %s, %s %s; for %s of it they had nothing to do.",
		percent(sum.Fetch/all), decoding, percent(sum.Decode/all), committing, percent(sum.Commit/all), percent(waiting)))
	evidence = append(evidence, a.slopes()...)
	if others := (used - sum.CPU) / sum.Seconds / cores; a.Result.Settings.Store == "" && others >= muchBeside {
		evidence = append(evidence, "What others take of the cores, this run lacks: it says little of the files.")
		return Unclear, evidence
	}
	return a.boundBy(&sum, used/sum.Seconds/cores, waiting), evidence
}

func (a *Analysis) boundBy(sum *Sample, busy, waiting float64) Bottleneck {
	fetching := BoundByReading
	if a.Result.Settings.Remote {
		fetching = BoundByNetwork
	}
	switch {
	case busy >= fullCores:
		return BoundByCores
	case a.Result.Settings.Remote && sum.Fetch > 0 && waiting >= idleWorkers:
		return BoundByNetwork // files are fetched ahead of the workers, who wait for them
	case waiting >= idleWorkers:
		return Unclear
	case sum.Commit >= max(sum.Fetch, sum.Decode) && a.Result.Settings.Stage == "load":
		return BoundByDatabase
	case sum.Fetch >= sum.Decode || a.Result.Settings.Stage == "fetch":
		return fetching
	}
	return BoundByDecoding
}

// slopes tells what more workers and larger chunks do about the best cell.
func (a *Analysis) slopes() (texts []string) {
	b := a.Best
	var row, column []*CellStats // of the same workers, and of the same chunk
	for i := range a.Cells {
		c := &a.Cells[i]
		if c.N > 0 && c.Workers == b.Workers {
			row = append(row, c)
		}
		if c.N > 0 && c.Chunk == b.Chunk {
			column = append(column, c)
		}
	}
	steps := func(cells []*CellStats, what string, of func(*CellStats) int) {
		if len(cells) < 2 {
			return
		}
		words := make([]string, len(cells))
		for i, c := range cells {
			words[i] = fmt.Sprintf("%s with %d", Seconds(c.Median), of(c))
		}
		texts = append(texts, what+strings.Join(words, ", ")+".")
	}
	steps(column, fmt.Sprintf("By workers, at chunk %d: ", b.Chunk), func(c *CellStats) int { return c.Workers })
	steps(row, fmt.Sprintf("By chunk, at %s: ", counted(b.Workers, "worker")), func(c *CellStats) int { return c.Chunk })
	return texts
}

// note tells what to bear in mind.
func (a *Analysis) note() {
	v, r := &a.Verdict, a.Result
	add := func(format string, args ...any) { v.Notes = append(v.Notes, fmt.Sprintf(format, args...)) }
	if r.Cut != "" {
		add("The sweep was cut short: %s.", r.Cut)
	}
	if took := r.Ended.Sub(r.Began); r.Protocol.Budget > 0 && took > r.Protocol.Budget*11/10 {
		add("It took %s and not the budget of %s, as each cell has its turn.", rounded(took), r.Protocol.Budget)
	}
	var unvisited, outliers, once, idle []string
	var full []int
	for i := range a.Cells {
		c := &a.Cells[i]
		name := c.String()
		switch {
		case c.Failed > 0: // it is shown with why
		case r.leftOut(c.Cell) != nil:
		case !c.Visited():
			unvisited = append(unvisited, name)
		case c.N == 1:
			once = append(once, name)
		}
		if len(c.Outliers) > 0 {
			outliers = append(outliers, name)
		}
		if c.N > 0 && c.Runs[0].fullBefore(c.Chunk) {
			full = append(full, c.Chunk)
		}
		if c.N > 0 && a.idle(c.Cell) > 0 {
			idle = append(idle, name)
		}
	}
	for _, x := range r.LeftOut {
		text := fmt.Sprintf("%s was left out: by what %s took, its transactions take up to %s, which the other cells left no time for.", x.Cell, x.By, Seconds(x.About))
		if x.Enough > 0 {
			text += fmt.Sprintf(" With --budget %.0fm there is.", math.Ceil(x.Enough.Minutes()))
		}
		add("%s", text)
	}
	if len(unvisited) > 0 {
		add("%s never ran: %s.", counted(len(unvisited), "cell"), some(unvisited, 6))
	}
	if len(once) > 0 {
		text := ""
		if a.Compared {
			text = ", judged by what equal runs elsewhere differ by"
		}
		add("%s ran once only%s: %s.", counted(len(once), "cell"), text, some(once, 6))
	}
	if len(idle) > 0 {
		add("With fewer chunks than workers, some workers have nothing to do, and runs of cells that do the same work count together: %s.", some(idle, 6))
	}
	if len(full) > 0 {
		slices.Sort(full)
		add("Chunks were full of bytes or readings before they had so many files: at %s.", some(numbers(slices.Compact(full)), 6))
	}
	if len(outliers) > 0 {
		add("Runs far from the others of their cell, which count all the same: in %s.", some(outliers, 6))
	}
	if n := a.Noise; n.Within > 0 || n.Spread > 0 {
		loud := ""
		if n.loud() {
			loud = " Differences of that size say little."
		}
		var spreads []string
		if n.Spread > 0 {
			spreads = append(spreads, fmt.Sprintf("%s over the whole sweep (%d runs of %s)", percent(n.Spread), n.N, n.Reference))
		}
		if n.Within > 0 {
			spreads = append(spreads, percent(n.Within)+" within a cell")
		}
		add("Noise, the spread of equal runs: %s.%s", strings.Join(spreads, ", "), loud)
		if n.Drift > noisy || n.Drift < -noisy {
			add("The machine's speed drifted: the last runs of %s took %.0f %% of what the first did.", n.Reference, 100*(1+n.Drift))
		}
	}
	if r.Machine.busy() {
		add("This machine was not quiet: in the minute before the sweep %.1f processes wanted one of the %s.", r.Machine.Load, counted(r.Machine.Cores, "core"))
	}
}

// Seconds words a time: three digits that count.
func Seconds(s float64) string { return figure(s) + " s" }

// named is a cell in words.
func named(c Cell) string {
	return fmt.Sprintf("%s x chunk %d", counted(c.Workers, "worker"), c.Chunk)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func percent(share float64) string {
	if share > 0 && share < 0.095 {
		return fmt.Sprintf("%.1f %%", 100*share)
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// against words how much one time is of another.
func against(x, y float64) string { return fmt.Sprintf("%.0f %% of", 100*x/y) }

// some lists the first of the names.
func some(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(slices.Concat(names[:most], []string{fmt.Sprintf("and %d more", len(names)-most)}), ", ")
}
