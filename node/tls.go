package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"chronik/internal/config"
	"chronik/internal/vfs"
)

// ErrTLS is a certificate, key or CA that cannot be used: the user can put that
// right.
var ErrTLS = errors.New("TLS of the raft port")

const caBytesMax = 4 << 20

// loadTLS reads what the nodes prove themselves to each other with; nil if the
// configuration has none.
func loadTLS(fsys vfs.FS, c *config.Raft) (*tls.Config, error) {
	if c.TLSCertFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %s and %s: %w; want a certificate and its key in PEM", ErrTLS, c.TLSCertFile, c.TLSKeyFile, err)
	}
	pem, err := vfs.ReadFile(fsys, c.TLSCAFile, caBytesMax)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; want a CA's certificates in PEM", ErrTLS, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no certificate; want a CA's certificates in PEM", ErrTLS, c.TLSCAFile)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, ClientCAs: roots,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}, nil
}
