package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/tink"

	"referralhub/hub/seal"
)

const vaultScheme = "hcvault://"

// checkKMS reports what is wrong with the URI of a key, as far as can be seen without asking the service.
func checkKMS(uri string) error {
	if uri == "" {
		return nil
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || !strings.HasPrefix(uri, vaultScheme):
		return errors.New("seal.kms: give hcvault://host:port/transit/keys/name, the key of a Vault transit engine, or leave it out")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("seal.kms: it names a key and nothing else; credentials come from the environment (VAULT_TOKEN)")
	}
	parts := strings.Split(u.EscapedPath(), "/")
	if len(parts) < 4 || parts[len(parts)-2] != "keys" || parts[len(parts)-1] == "" {
		return fmt.Errorf("seal.kms: the path is %q and not that of a key, such as /transit/keys/referralhub", u.EscapedPath())
	}
	return nil
}

// openKMS gives the key of a key management service; nil for no URI. The service is not asked yet. The client reads the environment as
// Vault's own programs do: VAULT_TOKEN, VAULT_CACERT, VAULT_NAMESPACE, VAULT_CLIENT_CERT, VAULT_AGENT_ADDR and the rest.
func openKMS(uri string) (tink.AEAD, error) {
	if uri == "" {
		return nil, nil
	}
	if err := checkKMS(uri); err != nil {
		return nil, err
	}
	cfg := vault.DefaultConfig()
	if cfg.Error != nil {
		return nil, fmt.Errorf("seal.kms: Vault's variables in the environment: %w", cfg.Error)
	}
	if os.Getenv("VAULT_CLIENT_TIMEOUT") == "" {
		cfg.Timeout = 5 * time.Second // of each of three tries: a hub that stops waits for them
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("seal.kms: %w", err)
	}
	if u.Host != "" {
		cfg.Address = "https://" + u.Host
	}
	client, err := vault.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("seal.kms: Vault's variables in the environment: %w", err)
	}
	// What is sent is the keys themselves.
	if at, err := url.Parse(client.Address()); err != nil || at.Scheme != "https" && !loopback(at.Hostname()) {
		return nil, errors.New("seal.kms: VAULT_ADDR or VAULT_AGENT_ADDR is neither https:// nor on this machine, and keys go there")
	}
	if t, ok := cfg.HttpClient.Transport.(*http.Transport); !ok || t.TLSClientConfig.InsecureSkipVerify {
		return nil, errors.New("seal.kms: VAULT_SKIP_VERIFY is set, and keys would go to whoever answers: unset it, and name the authority in VAULT_CACERT")
	}
	service, err := hcvault.NewClientWithAEADOptions(vaultScheme, client.Logical())
	if err != nil {
		return nil, fmt.Errorf("seal.kms: %w", err)
	}
	key, err := service.GetAEAD(uri)
	if err != nil {
		return nil, fmt.Errorf("seal.kms: %w", err)
	}
	return key, nil
}

// sealing is where the sealing keys are and what encrypts them.
func (c Config) sealing() (seal.Config, error) {
	kms, err := openKMS(c.Seal.KMS)
	return seal.Config{KeyFile: c.path("keys", "payload.json"), KMS: kms}, err
}

// explained says where to look when the key management service has not done its part.
func (c Config) explained(err error) error {
	if !errors.Is(err, seal.ErrKMS) {
		return err
	}
	return fmt.Errorf("%w\nseal.kms is %s: see that the service is up and unsealed, that VAULT_TOKEN is in the environment (and VAULT_CACERT for an authority of your own), and that it may encrypt and decrypt with this key",
		err, c.Seal.KMS)
}
