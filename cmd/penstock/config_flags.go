package main

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ownConfig marks commands that read the config themselves, and noConfig those
// that have no use for it, however broken it may be.
const (
	configKeyOf = "penstock_config"
	ownConfig   = "own"
	noConfig    = "none"
)

// configAlone is for commands that take a config and no arguments: a config is
// what an argument was meant for.
func configAlone(cmd *cobra.Command, given []string) error {
	if len(given) == 1 && !cmd.Flags().Changed("config") {
		return usage(fmt.Sprintf("%s -c %s", cmd.CommandPath(), given[0]), "'%s' is given its config with -c", cmd.CommandPath())
	}
	return args(0, 0)(cmd, given)
}

// readConfig reads the config that --config names, and takes from it what flags
// and environment leave open.
func (a *app) readConfig(cmd *cobra.Command) (err error) {
	if a.configFile == "" || cmd.Annotations[configKeyOf] != "" {
		return nil
	}
	if a.config, err = loadConfig(a.configFile); err != nil {
		return &usageError{err: err}
	}
	f := cmd.Flags()
	a.takeStore(f)
	leave(f, "workers", a.config.pipeline.workers.String())
	leave(f, "chunk", a.config.pipeline.chunk.String())
	leave(f, "part", a.config.pipeline.cutting.part.String())
	leave(f, "atomic", strconv.FormatBool(a.config.pipeline.cutting.atomic))
	if lag := a.config.limits.liveLag; lag != 0 {
		leave(f, "max-live-lag", lag.String())
	}
	leave(f, "no-builtins", strconv.FormatBool(!a.config.builtins))
	return nil
}

// takeStore takes where the store is from the config.
func (a *app) takeStore(f *pflag.FlagSet) {
	leave(f, "store", cmp.Or(a.config.store.url, a.store))
	leave(f, "schema", cmp.Or(a.config.store.schema, a.schema))
}

// leave sets a flag that neither the command line nor the environment gave. A
// command may not have it, or be there to find out what it should be. The value
// was checked when it was read.
func leave(f *pflag.FlagSet, name, value string) {
	flag := f.Lookup(name)
	if flag == nil || flag.Changed {
		return
	}
	if _, swept := flag.Value.(*sizes); !swept {
		if err := flag.Value.Set(value); err != nil {
			panic(err)
		}
	}
}

// likeSource takes from the config of a source how its files are read, as far as
// it is not given.
func (r *reading) likeSource(name string) {
	s := r.app.config.source(name)
	if s == nil {
		return
	}
	r.zone = cmp.Or(r.zone, s.zone)
	if (r.profile == "" || r.profile == "auto") && s.profile != "auto" {
		r.profile, r.read = s.profile, nil
	}
	if !r.isGiven("window-past") {
		r.past = duration(s.window.Past)
	}
	if !r.isGiven("window-future") {
		r.future = duration(s.window.Future)
	}
	if !r.isGiven("max-rejected") {
		r.rejected, r.minLines = cmp.Or(s.maxRejected.Share, rejectedShare), s.maxRejected.MinLines
	}
	if !r.isGiven("strict") {
		r.strict = s.strict
	}
}

// isGiven reports whether a flag has its value from the command line or the
// environment.
func (r *reading) isGiven(flag string) bool {
	if r.flagSet == nil {
		return false
	}
	f := r.flagSet.Lookup(flag)
	return f != nil && f.Changed
}

// likeSource makes a replay that of the config's source of that name, but for
// what is given.
func (r *replay) likeSource(f *pflag.FlagSet) {
	s := r.app.config.source(r.source)
	if s == nil {
		return
	}
	leave(f, "profile", s.profile)
	leave(f, "zone", s.zone)
	for name, globs := range map[string][]string{"match": s.match, "ignore": s.ignore} {
		if flag := f.Lookup(name); !flag.Changed {
			_ = flag.Value.(pflag.SliceValue).Replace(globs) // a list of texts takes any
		}
	}
	if s.window.Past != 0 {
		leave(f, "window-past", s.window.Past.String())
	}
	if s.window.Future != 0 {
		leave(f, "window-future", s.window.Future.String())
	}
	if s.maxRejected.Share != 0 {
		leave(f, "max-rejected", strconv.FormatFloat(s.maxRejected.Share, 'g', -1, 64))
	}
	r.minLines = s.maxRejected.MinLines
	leave(f, "strict", strconv.FormatBool(s.strict))
	leave(f, "on-conflict", string(s.policy))
	leave(f, "on-change", string(s.onChange))
	leave(f, "rank", strconv.Itoa(int(s.rank)))
}
