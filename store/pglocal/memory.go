package pglocal

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Memory is what a process may use here, in bytes: the machine's memory or the
// least limit of the control groups that it is in, a container's or a service's,
// whichever is less. 0 if the system does not say.
func Memory() int64 { return memoryIn(os.DirFS("/")) }

func memoryIn(root fs.FS) int64 {
	var memory int64
	if text, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		if m := memTotal.FindSubmatch(text); m != nil {
			kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
			memory = kb * 1024
		}
	}
	groups, _ := fs.ReadFile(root, "proc/self/cgroup") // without it the mounts may still tell
	for _, v := range []struct{ mount, file, group string }{
		{"sys/fs/cgroup", "memory.max", groupOf(groups, "")},
		{"sys/fs/cgroup/memory", "memory.limit_in_bytes", groupOf(groups, "memory")},
	} {
		// A limit of any group above holds, too. Of a container all that may be seen is
		// its own, as the root, whatever its name is outside.
		for group := v.group; ; group = path.Dir(group) {
			text, err := fs.ReadFile(root, path.Join(v.mount, group, v.file))
			limit, noNumber := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no limit
			if err == nil && noNumber == nil && limit > 0 && (memory == 0 || limit < memory) {
				memory = limit
			}
			if group == "/" {
				break
			}
		}
	}
	return memory
}

var memTotal = regexp.MustCompile(`(?m)^MemTotal:\s+(\d+) kB`)

// groupOf is the group of a controller in /proc/self/cgroup (cgroups(7)), whose
// lines are number:controllers:path; that without controllers is version 2's.
func groupOf(groups []byte, controller string) string {
	for line := range strings.Lines(string(groups)) {
		field := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(field) < 3 || !strings.HasPrefix(field[2], "/") {
			continue
		}
		for name := range strings.SplitSeq(field[1], ",") {
			if name == controller {
				return path.Clean(field[2])
			}
		}
	}
	return "/"
}
