package main

import (
	"fmt"
	"image/color"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// A screen is stderr: log, notes and progress, which share a terminal's lines.
// It may be written to concurrently.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	above io.Writer // while a progress bar stands on the last line: what writes above it
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.above != nil {
		return s.above.Write(p)
	}
	return s.w.Write(p)
}

// over makes all that is written go to w until it is called with nil.
func (s *screen) over(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.above = w
}

// dress finds out what the terminals can show and what they are asked to.
func (a *app) dress() {
	a.outProfile = a.profileOf(a.out)
	a.errProfile = a.profileOf(a.err.w)
	a.errTerminal = isTerminal(a.err.w)
	a.outTerminal = isTerminal(a.out)
	a.width, _ = a.outSize()
}

// outSize is how many cells the terminal behind stdout is wide and high, 0 where
// there is none.
func (a *app) outSize() (width, height int) {
	f, ok := a.out.(*os.File)
	if !ok || !a.outTerminal {
		return 0, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

func (a *app) profileOf(w io.Writer) colorprofile.Profile {
	switch a.color.value {
	case "never":
		return colorprofile.NoTTY
	case "always":
		return max(colorprofile.Env(a.environ), colorprofile.ANSI)
	}
	if a.getenv("NO_COLOR") != "" {
		return colorprofile.NoTTY
	}
	return colorprofile.Detect(w, a.environ)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// The styles of the program, by what they say.
var (
	plain = lipgloss.NewStyle()
	bold  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	good  = colored(lipgloss.Green)
	warn  = colored(lipgloss.Yellow)
	bad   = colored(lipgloss.Red)
)

func colored(c color.Color) lipgloss.Style { return lipgloss.NewStyle().Foreground(c) }

// style returns s as stdout shows it.
func (a *app) style(st lipgloss.Style, s string) string { return rendered(a.outProfile, st, s) }

// errStyle returns s as stderr shows it.
func (a *app) errStyle(st lipgloss.Style, s string) string { return rendered(a.errProfile, st, s) }

func rendered(p colorprofile.Profile, st lipgloss.Style, s string) string {
	if p <= colorprofile.NoTTY {
		return s
	}
	var b stringWriter
	w := colorprofile.Writer{Forward: &b, Profile: p}
	_, _ = io.WriteString(&w, st.Render(s)) // b takes anything
	return string(b)
}

type stringWriter []byte

func (b *stringWriter) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func (a *app) startLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel.value)); err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	if a.quiet {
		level = max(level, slog.LevelError)
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case a.logFormat.value == "json":
		a.log = slog.New(slog.NewJSONHandler(a.err, options))
	case a.errTerminal:
		a.log = slog.New(tint.NewTextHandler(a.err, &tint.Options{
			Level:      level,
			TimeFormat: time.TimeOnly,
			NoColor:    a.errProfile <= colorprofile.Ascii,
		}))
	default:
		a.log = slog.New(slog.NewTextHandler(a.err, options))
	}
	return nil
}
