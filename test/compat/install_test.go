package compat

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chronik/test/harness"
)

// installMax bounds one installation; a registry that hangs is as bad as one that refuses.
const installMax = 6 * time.Minute

// newLog makes a file for what a client's program prints on stderr.
func newLog(t testing.TB, name string) (*os.File, error) {
	return os.Create(filepath.Join(harness.TempDir(t), name+".stderr"))
}

// run executes a command in dir and returns its output as the error's text when it fails.
func run(dir string, env []string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	timer := time.AfterFunc(installMax, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, tail(out.String(), 25))
	}
	return nil
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// cached runs install in test/.cache/<name> unless it already succeeded there with the same files and steps.
func cached(name string, inputs []string, install func(dir string) error) (string, error) {
	dir := harness.CacheDir(name)
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	h := sha256.New()
	for _, in := range inputs {
		b, err := os.ReadFile(in)
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	stamp := filepath.Join(dir, ".installed")
	want := fmt.Sprintf("%x\n", h.Sum(nil))
	if got, _ := os.ReadFile(stamp); string(got) == want {
		return dir, nil
	}
	if err := install(dir); err != nil {
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	return dir, os.WriteFile(stamp, []byte(want), 0o644)
}

func source(elem ...string) string {
	return filepath.Join(append([]string{harness.ModuleDir(), "compat"}, elem...)...)
}

// installKcat finds kcat or installs Debian's package.
func installKcat() (string, error) {
	if path, err := exec.LookPath("kcat"); err == nil {
		return path, nil
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := run("", env, "apt-get", "update"); err != nil {
		return "", err
	}
	if err := run("", env, "apt-get", "install", "-y", "--no-install-recommends", "kcat"); err != nil {
		return "", err
	}
	return exec.LookPath("kcat")
}

// installJava resolves kafka-clients with Maven and compiles the driver; it returns the class path.
func installJava() (string, error) {
	pom, src := source("java", "pom.xml"), source("java", "Driver.java")
	dir, err := cached("java", []string{pom, src}, func(dir string) error {
		os.RemoveAll(filepath.Join(dir, "lib"))
		os.RemoveAll(filepath.Join(dir, "classes"))
		if err := run(source("java"), nil, "mvn", "-q", "-B", "dependency:copy-dependencies",
			"-DoutputDirectory="+filepath.Join(dir, "lib")); err != nil {
			return err
		}
		return run(dir, nil, "javac", "-cp", filepath.Join(dir, "lib", "*"), "-d", filepath.Join(dir, "classes"), src)
	})
	return filepath.Join(dir, "classes") + ":" + filepath.Join(dir, "lib", "*"), err
}

// installPython makes the virtual environment of python/<env>.txt and returns its interpreter.
func installPython(env string) (string, error) {
	req := source("python", env+".txt")
	dir, err := cached(env, []string{req}, func(dir string) error {
		venv := filepath.Join(dir, "venv")
		os.RemoveAll(venv)
		if err := run(dir, nil, "python3", "-m", "venv", venv); err != nil {
			return err
		}
		return run(dir, nil, filepath.Join(venv, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "-r", req)
	})
	return filepath.Join(dir, "venv", "bin", "python"), err
}

// installNode installs kafkajs and its codecs and returns the driver's path beside them.
func installNode() (string, error) {
	pkg, src := source("node", "package.json"), source("node", "driver.js")
	dir, err := cached("node", []string{pkg, src}, func(dir string) error {
		for _, f := range []string{pkg, src} {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), b, 0o644); err != nil {
				return err
			}
		}
		return run(dir, nil, "npm", "install", "--no-fund", "--no-audit", "--loglevel=error")
	})
	return filepath.Join(dir, "driver.js"), err
}
