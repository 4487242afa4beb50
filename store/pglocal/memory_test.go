package pglocal

import (
	"testing"
	"testing/fstest"
)

func TestMemory(t *testing.T) {
	const gigabyte = 1 << 30
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nothing is told", nil, 0},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/user.slice\n", "sys/fs/cgroup/user.slice/memory.max": "max\n"}, 8 * gigabyte},
		{"a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, gigabyte},
		{"a service", map[string]string{"proc/self/cgroup": "0::/system.slice/penstock.service\n",
			"sys/fs/cgroup/system.slice/penstock.service/memory.max": "1073741824\n"}, gigabyte},
		{"a slice with less than the service in it", map[string]string{"proc/self/cgroup": "0::/a.slice/penstock.service\n",
			"sys/fs/cgroup/a.slice/penstock.service/memory.max": "2147483648\n", "sys/fs/cgroup/a.slice/memory.max": "1073741824\n"}, gigabyte},
		{"a service, version 1", map[string]string{"proc/self/cgroup": "4:cpu,cpuacct:/elsewhere\n3:memory:/penstock\n0::/\n",
			"sys/fs/cgroup/memory/penstock/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, gigabyte},
		{"a container, version 1, that sees its name outside", map[string]string{"proc/self/cgroup": "3:memory:/docker/9f\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"}, gigabyte},
		{"more than there is", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999999\n"}, 8 * gigabyte},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range c.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if c.files != nil {
				root["proc/meminfo"] = &fstest.MapFile{Data: []byte("MemTotal:        8388608 kB\nMemFree: 1 kB\n")}
			}
			if got := memoryIn(root); got != c.want {
				t.Errorf("%d bytes, want %d", got, c.want)
			}
		})
	}
}
