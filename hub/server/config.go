package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/witness"
)

// Config is the hub's one configuration file. Its zero value is a hub for one county on one machine: SQLite, embedded NATS, and keys
// of its own making, all under Data. A new field must have a zero value that works, so that an older file still starts a newer hub.
type Config struct {
	// Data is the folder of everything the hub keeps: keys, the database, JetStream, partners' public keys. "data" when empty.
	Data string `yaml:"data"`
	// Listen is the address of the API: "127.0.0.1:8443" when empty.
	Listen string `yaml:"listen"`
	// URL is where partners reach the hub; it is the issuer of tokens. "https://" and Listen when empty.
	URL string `yaml:"url"`
	TLS TLS    `yaml:"tls"`
	// Database is a PostgreSQL URL; empty means SQLite in Data. ${NAME} is taken from the environment.
	Database string `yaml:"database"`
	Seal     Seal   `yaml:"seal"`
	NATS     NATS   `yaml:"nats"`
	// Agreements is the folder of partners and agreements, by county; empty means those built into the hub.
	Agreements string `yaml:"agreements"`
	// Origin names this copy's log, and must never change: the host of URL and "/log/1" when empty.
	Origin      string      `yaml:"origin"`
	Checkpoints Checkpoints `yaml:"checkpoints"`
	// Witnesses cosign the log's checkpoints; only theirs count.
	Witnesses []Witness `yaml:"witnesses"`

	Webhooks Webhooks      `yaml:"webhooks"`
	Limits   Limits        `yaml:"limits"`
	Keep     Keep          `yaml:"keep"`
	LogLevel string        `yaml:"log_level"` // debug, info, warn, error: info when empty
	Grace    time.Duration `yaml:"grace"`     // how long a shutdown may take: 20 s when zero
	// Now is the clock that decisions, tokens and ends are told by: time.Now when nil. No file can set it.
	Now func() time.Time `yaml:"-"`
}

// TLS says how the API is protected on the way.
type TLS struct {
	Cert string `yaml:"cert"` // PEM files; both empty: the hub makes a certificate authority of its own under Data
	Key  string `yaml:"key"`
	Off  bool   `yaml:"off"` // plain HTTP: refused unless Listen is a loopback address (a proxy on this machine ends TLS)
}

// Seal says what guards the keys that payloads are sealed with.
type Seal struct {
	// KMS is the URI of a key in a key management service, which encrypts the hub's sealing keys: hcvault://host:port/mount/keys/name for
	// the transit engine of HashiCorp Vault and what speaks its protocol; without a host, where VAULT_ADDR says. Credentials come from the
	// environment. Empty: the files are in clear, and their permissions protect them.
	KMS string `yaml:"kms"`
}

// NATS says where the bus is.
type NATS struct {
	URL         string `yaml:"url"` // empty: embedded
	Credentials string `yaml:"credentials"`
	Listen      string `yaml:"listen"` // loopback port of the embedded server, for partners on this machine: none when empty
	Replicas    int    `yaml:"replicas"`
}

// Checkpoints says when the log's checkpoint is published for witnesses and receipts.
type Checkpoints struct {
	Every time.Duration `yaml:"every"` // if the log has grown meanwhile: a minute when zero
}

// Witness is a witness of the log (C2SP tlog-witness).
type Witness struct {
	Key string `yaml:"key"` // its verifier key, as partner witness key prints it: <name>+<key id>+<base64>
	URL string `yaml:"url"` // where it can be called; empty for one that brings its cosignatures
}

// Webhooks says where notices may go.
type Webhooks struct {
	// AllowHosts are hosts that may be called although they are on a private network. Empty: none.
	AllowHosts []string `yaml:"allow_hosts"`
}

// Limits bound what the hub takes on at once.
type Limits struct {
	BodyBytes int64 `yaml:"body_bytes"` // 1 MiB when zero
	InFlight  int   `yaml:"in_flight"`  // 128 when zero
}

// Keep says how long payloads stay (domain.md section 10.4, hub defaults).
type Keep struct {
	Queued time.Duration `yaml:"queued"` // 14 days when zero
	Held   time.Duration `yaml:"held"`   // 30 days when zero
}

// ReadConfig reads a configuration file strictly: an unknown key is a fault with its line. A name of "" is the zero Config. change lays
// flags over the file before what is left empty gets its default; it may be nil.
func ReadConfig(name string, change func(*Config)) (Config, error) {
	var cfg Config
	if name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			return cfg, fmt.Errorf("read the configuration: %w", err)
		}
		err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&cfg)
		if err != nil && !errors.Is(err, io.EOF) {
			return cfg, fmt.Errorf("configuration %s: %s", name, yaml.FormatError(err, false, true))
		}
	}
	if change != nil {
		change(&cfg)
	}
	return cfg.withDefaults()
}

// withDefaults fills what is empty and reports everything that is wrong, not the first thing.
func (c Config) withDefaults() (Config, error) {
	c.Data = cmp.Or(c.Data, "data")
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:8443")
	c.LogLevel = cmp.Or(c.LogLevel, "info")
	c.Grace = cmp.Or(c.Grace, 20*time.Second)
	c.Checkpoints.Every = cmp.Or(c.Checkpoints.Every, time.Minute)
	scheme := "https"
	if c.TLS.Off {
		scheme = "http"
	}
	c.URL = strings.TrimSuffix(cmp.Or(c.URL, scheme+"://"+c.Listen), "/")

	var faults []error
	c.Database = os.Expand(c.Database, func(name string) string {
		value, set := os.LookupEnv(name)
		if !set {
			// Left empty it would be another database than is meant.
			faults = append(faults, fmt.Errorf("database: the environment has no %s: set it", name))
		}
		return value
	})
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		faults = append(faults, fmt.Errorf("listen: %q is not host:port", c.Listen))
	}
	if c.TLS.Off && !loopback(host) {
		faults = append(faults, fmt.Errorf("tls.off: plain HTTP is for a loopback address, and listen is %s; give tls.cert and tls.key, or leave both out", c.Listen))
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		faults = append(faults, errors.New("tls: cert and key go together"))
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, fmt.Errorf("url: %q is not where an API can be", c.URL))
	} else {
		c.Origin = cmp.Or(c.Origin, u.Hostname()+"/log/1")
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		faults = append(faults, errors.New("database: give a postgres:// URL, or leave it out for SQLite"))
	}
	if err := checkKMS(c.Seal.KMS); err != nil {
		faults = append(faults, err)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		faults = append(faults, fmt.Errorf("log_level: %q is none of debug, info, warn, error", c.LogLevel))
	}
	if _, err := c.witnesses(); err != nil {
		faults = append(faults, err)
	}
	if c.Checkpoints.Every < 0 {
		faults = append(faults, errors.New("checkpoints.every: a time may not be negative"))
	}
	if c.Limits.BodyBytes < 0 || c.Limits.InFlight < 0 || c.Keep.Queued < 0 || c.Keep.Held < 0 {
		faults = append(faults, errors.New("limits and keep: a number may not be negative"))
	}
	return c, errors.Join(faults...)
}

// witnesses reads the keys of those who cosign the log's checkpoints.
func (c Config) witnesses() ([]witness.Witness, error) {
	var out []witness.Witness
	var faults []error
	named := map[string]bool{}
	for i, w := range c.Witnesses {
		key, err := ledger.NewWitness(w.Key)
		if err != nil {
			faults = append(faults, fmt.Errorf("witnesses[%d].key: %w", i, err))
			continue
		}
		if named[key.Name()] {
			faults = append(faults, fmt.Errorf("witnesses[%d].key: %s is there already: one witness has one key", i, key.Name()))
		}
		named[key.Name()] = true
		if u, err := url.Parse(w.URL); w.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			faults = append(faults, fmt.Errorf("witnesses[%d].url: %q is not where a witness can be called: https://host/path, or leave it out", i, w.URL))
		}
		out = append(out, witness.Witness{Key: key, URL: w.URL})
	}
	return out, errors.Join(faults...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Print writes the configuration as a file, with secrets masked.
func (c Config) Print(w io.Writer) error {
	c.Database = mask(c.Database)
	c.NATS.URL = strings.Join(lo.Map(strings.Split(c.NATS.URL, ","), func(one string, _ int) string { return mask(one) }), ",")
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// mask hides the password of a URL, wherever it stands in it. What cannot be read as a URL is hidden whole.
func mask(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "xxxxx"
	}
	q := u.Query()
	for _, key := range []string{"password", "sslpassword"} {
		if q.Has(key) {
			q.Set(key, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	if _, secret := u.User.Password(); u.User != nil && !secret && strings.HasPrefix(u.Scheme, "nats") {
		u.User = url.User("xxxxx") // a token
	}
	return u.Redacted()
}

// Exists is nil when a hub has run with this configuration before. Whatever reads a hub's state asks it first: a mistyped folder must not
// pass for a hub that has disclosed nothing.
func (c Config) Exists() error {
	need := []string{c.VerifierFile()}
	if c.Database == "" {
		need = append(need, c.path("hub.db"))
	}
	for _, name := range need {
		switch _, err := os.Stat(name); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("no hub has run here: there is no %s; name the hub's folder with --data, or its configuration with --config", name)
		case err != nil:
			return fmt.Errorf("look for the hub's files: %w", err)
		}
	}
	return nil
}

// VerifierFile holds the public key of the hub's log, for whoever verifies it.
func (c Config) VerifierFile() string { return c.path("keys", "log.vkey") }

// AuthorityFile holds the certificate that partners trust when the hub makes its own.
func (c Config) AuthorityFile() string { return c.path("tls", "ca.pem") }

func (c Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.Data}, parts...)...)
}
