package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/renameio/v2/maybe"

	"referralhub/hub/auth"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
)

// secret reads a file that only its owner may read, or makes it on the first start. It is written whole or not at all.
func secret(name string, make func() ([]byte, error)) ([]byte, error) {
	text, err := readSecret(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = make(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for keys: %w", err)
	}
	if err := maybe.WriteFile(name, text, 0o600); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return text, nil
}

func readSecret(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	// On Windows the access list of the folder protects it, and mode bits say nothing.
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s can be read by others than its owner: chmod 600 it, and rotate it if anybody may have", name)
	}
	return os.ReadFile(name)
}

// sealer opens the keys that payloads are sealed with.
func (c Config) sealer() (*seal.Sealer, error) {
	cfg, err := c.sealing()
	if err != nil {
		return nil, err
	}
	s, err := seal.Open(cfg)
	return s, c.explained(err)
}

// logSigner opens the key that signs checkpoints. The public half stands beside it for whoever verifies.
func (c Config) logSigner() (*ledger.Signer, error) {
	text, err := secret(c.path("keys", "log.key"), func() ([]byte, error) {
		skey, vkey, err := ledger.GenerateKey(c.Origin)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(c.path("keys"), 0o700); err != nil {
			return nil, err
		}
		return []byte(skey + "\n"), maybe.WriteFile(c.path("keys", "log.vkey"), []byte(vkey+"\n"), 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("open the log's key: %w", err)
	}
	s, err := ledger.NewSigner(c.Origin, strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("open the log's key: %w", err)
	}
	return s, nil
}

// tokenKeys gives the keys of access tokens, and makes the first on the first start. The first signs; those after it have been rotated out,
// and verify what they signed.
func (c Config) tokenKeys(now time.Time) ([]auth.Key, error) {
	_, err := secret(c.tokenFile(), func() ([]byte, error) {
		key, err := auth.GenerateKey("EdDSA")
		if err != nil {
			return nil, err
		}
		return key.MarshalPEM()
	})
	if err != nil {
		return nil, fmt.Errorf("open the token keys: %w", err)
	}
	return c.tokenKeysInForce(now)
}

// tokenOverlap is how long a token key verifies after it was rotated out: as long as its last token lives, and the time in which every copy
// of the hub has to get the new one.
const tokenOverlap = auth.MaxTokenLife + 5*time.Minute

// tokenKeysInForce leaves out the keys that were rotated out longer ago than their tokens live.
func (c Config) tokenKeysInForce(now time.Time) ([]auth.Key, error) {
	keys, until, err := c.readTokenKeys()
	if err != nil {
		return nil, err
	}
	if !now.Before(until) {
		keys = keys[:1]
	}
	return keys, nil
}

// readTokenKeys reads all keys of the file, and until when those after the first verify: the file is written when one is rotated out.
func (c Config) readTokenKeys() (keys []auth.Key, until time.Time, err error) {
	text, err := readSecret(c.tokenFile())
	if err != nil {
		return nil, until, fmt.Errorf("open the token keys: %w", err)
	}
	if keys, err = auth.ParseKeys(text); err != nil {
		return nil, until, fmt.Errorf("open the token keys: %s: %w", c.tokenFile(), err)
	}
	info, err := os.Stat(c.tokenFile()) // after it was read: a key that is rotated out in between verifies for too long, not too short
	if err != nil {
		return nil, until, fmt.Errorf("open the token keys: %w", err)
	}
	return keys, info.ModTime().Add(tokenOverlap), nil
}

func (c Config) tokenFile() string { return c.path("keys", "token.pem") }

// certificate gives the API's certificate: the one configured, or one signed by an authority that the hub makes for itself. Partners
// then trust <data>/tls/ca.pem.
func (c Config) certificate(now time.Time) (tls.Certificate, error) {
	if c.TLS.Cert != "" {
		cert, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
		if err != nil {
			return cert, fmt.Errorf("open the certificate: %w", err)
		}
		return cert, nil
	}
	authority, err := secret(c.path("tls", "ca.key.pem"), func() ([]byte, error) { return c.newAuthority(now) })
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("open the hub's certificate authority: %w", err)
	}
	ca, err := tls.X509KeyPair(authority, authority)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("open the hub's certificate authority: %w", err)
	}
	return c.leaf(ca, now)
}

// newAuthority makes a certificate authority: its key and certificate in one file, and the certificate alone for partners.
func (c Config) newAuthority(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Referral hub at " + c.URL},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.MkdirAll(c.path("tls"), 0o700); err != nil {
		return nil, err
	}
	if err := maybe.WriteFile(c.path("tls", "ca.pem"), public, 0o644); err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), public}, nil), nil
}

// leaf makes a certificate for this start: it lives in memory alone.
func (c Config) leaf(ca tls.Certificate, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "referral hub"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if u, err := url.Parse(c.URL); err == nil {
		if ip := net.ParseIP(u.Hostname()); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, u.Hostname())
		}
	}
	parent, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the certificate authority: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), ca.PrivateKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
