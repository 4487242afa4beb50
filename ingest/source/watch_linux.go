//go:build linux && !portable

package source

import "golang.org/x/sys/unix"

// canWatch says why folders cannot be watched on this system.
func canWatch() error { return nil }

func (id identity) device() uint64 { return id.dev }

// networkOf names the network file system, or the one of another process, that
// the folder at path is on: these do not tell what others do there. It is empty
// for those of this machine. The numbers are those of statfs(2).
func networkOf(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return ""
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB"
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE"
	case unix.V9FS_MAGIC:
		return "9P"
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph"
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "AFS"
	case unix.CODA_SUPER_MAGIC:
		return "Coda"
	case unix.NCP_SUPER_MAGIC:
		return "NCP"
	}
	return ""
}

// roomIn is how much room there is in a folder; 0 when that is not known.
func roomIn(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail * uint64(st.Bsize))
}
