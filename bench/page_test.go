package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestPage looks at the page as a user does, in a browser. The screenshots are
// kept with -artifacts.
func TestPage(t *testing.T) {
	a := shownAnalysis()
	a.Result.Settings.Files = `</script><b>files</b> of "L & Co"`
	for i := range a.Cells {
		if c := &a.Cells[i]; c.Failed > 0 {
			c.Why = "</script><img src=x onerror=alert(1)>"
		}
	}
	b := openPage(t, a)
	title := evaluated[string](b, `document.querySelector("h1").textContent`)
	bestWeight := evaluated[string](b, `getComputedStyle(document.querySelector(".best b")).fontWeight`)
	bestColor := evaluated[string](b, `getComputedStyle(document.querySelector(".best b")).color`)
	slowest := evaluated[string](b, `getComputedStyle(document.querySelector("[data-cell='1 x 1']")).backgroundColor`)
	if want := "Run time in seconds, load of " + a.Result.Settings.Files; title != want {
		t.Errorf("the page is titled %q, want %q", title, want)
	}
	if bestWeight != "800" || bestColor != "rgb(255, 255, 255)" {
		t.Errorf("the best cell is in weight %s and %s, not in bold white", bestWeight, bestColor)
	}
	if slowest != "rgb(163, 29, 34)" {
		t.Errorf("the slowest cell is %s, not red", slowest)
	}
	if got, want := b.texts(".cell.best b"), []string{"1.45"}; !slices.Equal(got, want) {
		t.Errorf("the best cells are %q, want %q", got, want)
	}
	if got := b.texts("#heatmap .cell"); len(got) != len(a.Cells) {
		t.Errorf("there are %d cells, want %d", len(got), len(a.Cells))
	}
	b.screenshot("page.png")

	b.pointAt("[data-cell='2 x 10']")
	if got := b.texts("#runs .list li"); len(got) != 5 || !strings.HasPrefix(got[0], "set 1, run 1: 4.66 s (fetch 0.373, decode 0.746, commit 7.92)") {
		t.Errorf("pointed at, a cell of five runs shows %q", got)
	}
	if got := b.texts("#runs .apart"); len(got) != 1 || !strings.HasPrefix(got[0], "set 4, run 1: 12.3 s") {
		t.Errorf("as lying apart it shows %q", got)
	}
	if got := b.texts("#runs h3"); !slices.Equal(got, []string{"2 workers × chunk 10"}) {
		t.Errorf("what is shown is titled %q", got)
	}
	b.screenshot("runs.png")

	// Three chunks of 10,000 files are the same work for four workers and for eight.
	b.pointAt("[data-cell='8 x 10000']")
	if got := b.texts("#runs .list li"); len(got) != 10 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "set 1, run 1 of 4 x 10000: ") }) ||
		!slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "set 1, run 1: ") }) {
		t.Errorf("pointed at, a cell that does the work of another shows %q", got)
	}

	b.pointAt("[data-cell='12 x 10000']")
	if got := b.texts("#runs li"); !slices.Equal(got, []string{"failed in 5 runs: </script><img src=x onerror=alert(1)>"}) {
		t.Errorf("pointed at, a cell that failed shows %q", got)
	}
	b.pointAt("h1")
	if !evaluated[bool](b, `document.getElementById("runs").hidden`) {
		t.Error("runs are shown of no cell")
	}
	b.do(chromedp.Focus(chromedp.CSS("[data-cell='4 x 100']")))
	if got := b.texts("#runs h3"); !slices.Equal(got, []string{"4 workers × chunk 100"}) {
		t.Errorf("reached by the keyboard, a cell shows %q", got)
	}
	b.do(chromedp.KeyEvent("\x1b"))
	if !evaluated[bool](b, `document.getElementById("runs").hidden`) {
		t.Error("Escape does not hide the runs")
	}
	if !evaluated[bool](b, `document.querySelector(".picture svg").getBoundingClientRect().height > 200`) {
		t.Error("there is no curve of the speed-up")
	}
	b.quiet()
}

// TestPageOnAPhone holds that the page is as wide as the screen: what is wider,
// the heatmap, scrolls by itself. And that what is shown of a cell is on it.
func TestPageOnAPhone(t *testing.T) {
	b := openPage(t, shownAnalysis(), chromedp.EmulateViewport(390, 844))
	if !evaluated[bool](b, `document.documentElement.scrollWidth <= innerWidth`) {
		t.Error("the page is wider than the screen")
	}
	for _, cell := range []string{"1 x 1", "12 x 1"} {
		b.pointAt("[data-cell='" + cell + "']")
		if !evaluated[bool](b, `(r => r.width > 0 && r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight)(document.getElementById("runs").getBoundingClientRect())`) {
			t.Errorf("what is shown of %s is not on the screen", cell)
		}
	}
	b.screenshot("phone.png")
	b.quiet()
}

// A browser has the page open.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	asked    []string // what was loaded
	complain []string // what went wrong in the page
}

func openPage(t *testing.T, a *Analysis, before ...chromedp.Action[chromedp.Void]) *browser {
	t.Helper()
	path := filepath.Join(t.TempDir(), "heatmap.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WriteHTML(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(findBrowser(t)), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, endProgram := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endBrowser := chromedp.NewContext(ctx)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		endBrowser()
		endProgram()
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(1200, 1000))
	b.do(before...)
	b.do(chromedp.Navigate("file://" + path))
	return b
}

// findBrowser looks for what .ci/setup installs, and its kin.
func findBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "there is no Chromium here to look at the page with: run `.ci/setup browser`, or install it"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complain = append(b.complain, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complain = append(b.complain, string(e.Type))
	}
}

// quiet holds that the page loaded nothing but itself, and that nothing in it
// went wrong.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) != 1 || !strings.HasPrefix(b.asked[0], "file://") {
		b.t.Errorf("the page loaded %q, not itself alone", b.asked)
	}
	if len(b.complain) > 0 {
		b.t.Errorf("the page complains: %q", b.complain)
	}
}

// patience is how long one step may take.
const patience = time.Minute

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, patience)
	defer end()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// evaluated is what an expression comes to in the page.
func evaluated[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, patience)
	defer end()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// pointAt moves the mouse to the middle of what is selected.
func (b *browser) pointAt(selector string) {
	b.t.Helper()
	at := evaluated[[]float64](b, "(e => { e.scrollIntoView({block: 'center', inline: 'center'}); const r = e.getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })(document.querySelector(`"+selector+"`))")
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, at[0], at[1]))
}

func (b *browser) texts(selector string) []string {
	b.t.Helper()
	return evaluated[[]string](b, "[...document.querySelectorAll(`"+selector+"`)].map(e => e.textContent)")
}

func (b *browser) screenshot(name string) {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, patience)
	defer end()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
