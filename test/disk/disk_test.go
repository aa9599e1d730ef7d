package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chronik/test/harness"
)

// disk is an ext4 in a file, mounted.
type disk struct {
	t     *testing.T
	root  string // directory that holds the rest
	image string // the file
	Mount string // where it is mounted
	cuts  int

	mu      sync.Mutex
	mounted []string // mount points, in the order they were made
}

// dirPrefix is followed by the process id, so that a later run can tell what an earlier one has left behind.
const dirPrefix = "chronik-disk-"

// newDisk makes and mounts an ext4 of so many MiB. With backing, a tmpfs of so many MiB is all there is for it. It is
// unmounted and removed when the test ends, and before the test binary's time is over.
func newDisk(t *testing.T, sizeMiB, backingMiB int) *disk {
	t.Helper()
	if harness.Peer() != "" || os.Getenv("CHRONIK_TEST_BOOTSTRAP") != "" {
		t.Skip("this test must own the broker and its disk")
	}
	sweep(t)
	root, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{t: t, root: root, image: filepath.Join(root, "disk.img"), Mount: filepath.Join(root, "mnt")}
	t.Cleanup(d.remove)
	if end, ok := t.Deadline(); ok {
		last := time.AfterFunc(time.Until(end)-10*time.Second, func() {
			d.remove()
			panic("the time of the test is over")
		})
		t.Cleanup(func() { last.Stop() })
	}
	if err := os.Mkdir(d.Mount, 0o755); err != nil {
		t.Fatal(err)
	}
	if backingMiB > 0 {
		backing := filepath.Join(root, "backing")
		if err := os.Mkdir(backing, 0o755); err != nil {
			t.Fatal(err)
		}
		d.mount(backing, "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", backingMiB), "tmpfs")
		d.image = filepath.Join(backing, "disk.img")
	}
	d.do("truncate", "-s", fmt.Sprintf("%dM", sizeMiB), d.image)
	d.do("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", d.image) // no reserve for root: full is full
	d.mountImage()
	return d
}

// do runs a command that must succeed.
func (d *disk) do(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %s: %v: %s\nthis test needs root, loop devices and mkfs.ext4", name, strings.Join(args, " "), err, out)
	}
}

func (d *disk) mountImage() {
	d.t.Helper()
	d.mount(d.Mount, "-t", "ext4", "-o", "loop", d.image)
}

func (d *disk) mount(at string, args ...string) {
	d.t.Helper()
	d.do("mount", append(args, at)...)
	d.mu.Lock()
	d.mounted = append(d.mounted, at)
	d.mu.Unlock()
}

// unmount takes away what was mounted last; its loop device goes with it. Nobody may have a file of it open.
func (d *disk) unmount() {
	d.t.Helper()
	d.mu.Lock()
	at := d.mounted[len(d.mounted)-1]
	d.mounted = d.mounted[:len(d.mounted)-1]
	d.mu.Unlock()
	if err := unmount(at); err != nil {
		d.t.Fatalf("unmount %s: %v", at, err)
	}
}

// check has the file system replay its journal and repaired if its device has failed it.
func (d *disk) check() {
	d.t.Helper()
	out, err := exec.Command("fsck.ext4", "-p", "-f", d.image).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) { // 1: errors were corrected
		d.t.Fatalf("fsck.ext4: %v: %s", err, out)
	}
}

// unmount waits for those who are about to close their files; in the end it goes ahead without them.
func unmount(at string) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // polling step
		err := unix.Unmount(at, 0)
		if err == nil || err != unix.EBUSY {
			return err
		}
		if time.Now().After(end) {
			return unix.Unmount(at, unix.MNT_DETACH)
		}
	}
}

// remove unmounts everything and removes the files.
func (d *disk) remove() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.mounted) - 1; i >= 0; i-- {
		if err := unmount(d.mounted[i]); err != nil {
			d.t.Errorf("unmount %s: %v", d.mounted[i], err)
			return // else the files of what is mounted there would be removed
		}
	}
	d.mounted = nil
	if os.Getenv("CHRONIK_TEST_KEEP") == "1" {
		d.t.Logf("kept %s", d.root)
		return
	}
	if err := os.RemoveAll(d.root); err != nil {
		d.t.Error(err)
	}
}

// sweep takes away what test binaries have left behind that were killed.
func sweep(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range left {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if pid, err := strconv.Atoi(owner); err != nil || unix.Kill(pid, 0) != unix.ESRCH || os.Getenv("CHRONIK_TEST_KEEP") == "1" {
			continue
		}
		for _, at := range []string{"mnt", "backing"} {
			_ = unix.Unmount(filepath.Join(dir, at), unix.MNT_DETACH) // EINVAL: nothing is mounted there
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("left behind by an earlier run: %v", err)
		}
	}
}

// The ext4 ioctl that ends all writing: what is in the journal in memory, or waits in the page cache, stays there.
const (
	ext4Shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN
	withoutJournal = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// cut cuts the power of the disk on which the brokers run: brokers and file system stop, and what reached the image is
// all there is afterwards. The disk is mounted again.
func (d *disk) cut(bs ...*harness.Broker) {
	d.t.Helper()
	for _, b := range bs {
		if !b.Running() {
			d.t.Fatalf("broker %d has ended by itself; log:\n%s", b.ID, harness.Tail(b.Log, 20))
		}
		if err := b.Pause(); err != nil {
			d.t.Fatal(err)
		}
	}
	f, err := os.Open(d.Mount)
	if err != nil {
		d.t.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, withoutJournal)
	f.Close()
	if err != nil {
		d.t.Fatalf("EXT4_IOC_SHUTDOWN: %v", err)
	}
	d.cuts++
	copied := filepath.Join(d.root, fmt.Sprintf("disk-%d.img", d.cuts))
	d.do("cp", "--sparse=always", d.image, copied)
	for _, b := range bs {
		b.Kill()
	}
	d.unmount()
	if err := os.Remove(d.image); err != nil {
		d.t.Fatal(err)
	}
	d.image = copied
	d.mountImage()
}

// used is how many bytes of the disk are taken.
func (d *disk) used() uint64 {
	d.t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(d.Mount, &st); err != nil {
		d.t.Fatal(err)
	}
	return (st.Blocks - st.Bfree) * uint64(st.Bsize)
}

// ballast takes all the room there is in a directory but for keep bytes; the function gives it back.
func ballast(t *testing.T, dir string, keep int64) (release func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	size := int64(0)
	for step := int64(1 << 30); step >= 4096; {
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if int64(st.Bavail)*st.Bsize-step < keep || unix.Fallocate(int(f.Fd()), 0, size, step) != nil {
			step /= 2
			continue
		}
		size += step
	}
	return func() {
		t.Helper()
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
