package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// One trust domain: the keys that vouch for its workloads. Whoever holds it locks it.
type authority struct {
	td spiffeid.TrustDomain
	// In the bundle; the newest of those that are active signs.
	keys []keys
	// Published at the end of keys, but does not sign yet.
	prepared bool
	// The text of a JWKS that is served instead, for keys that are not made here.
	otherKeys *string
	made      int
}

type keys struct {
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey
	kid     string
	jwtKey  *ecdsa.PrivateKey
}

func newAuthority(td spiffeid.TrustDomain) (*authority, error) {
	a := &authority{td: td}
	return a, a.rotate(false)
}

// Publishes new keys, as an authority does some time before it signs with them.
func (a *authority) prepare() error {
	if a.prepared {
		return nil
	}
	a.made++
	root, rootKey, err := selfSigned(a.td, a.made)
	if err != nil {
		return err
	}
	jwtKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.keys = append(a.keys, keys{root, rootKey, fmt.Sprintf("%s-%d", a.td.Name(), a.made), jwtKey})
	a.prepared = true
	return err
}

// Signs with new keys, those that were prepared if there are some; the old ones stay in the bundle or go.
func (a *authority) rotate(keep bool) error {
	if err := a.prepare(); err != nil {
		return err
	}
	a.prepared = false
	if !keep {
		a.keys = a.keys[len(a.keys)-1:]
	}
	return nil
}

func (a *authority) signing() keys {
	if a.prepared {
		return a.keys[len(a.keys)-2]
	}
	return a.keys[len(a.keys)-1]
}

func selfSigned(td spiffeid.TrustDomain, number int) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s root %d", td.Name(), number)},
		URIs:                  []*url.URL{td.ID().URL()},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}

// A certificate of a workload and its key, as the Workload API carries them.
type x509SVID struct {
	chain [][]byte
	key   []byte
}

func (a *authority) mintX509(id spiffeid.ID, ttl time.Duration, intermediate bool) (*x509SVID, error) {
	issuer, issuerKey, above := a.signing().root, a.signing().rootKey, [][]byte(nil)
	if intermediate {
		der, key, err := a.sign(issuer, issuerKey, a.td.ID(), 12*time.Hour, true)
		if err != nil {
			return nil, err
		}
		if issuer, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
		issuerKey, above = key, [][]byte{der}
	}
	der, key, err := a.sign(issuer, issuerKey, id, ttl, false)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	return &x509SVID{append([][]byte{der}, above...), pkcs8}, err
}

func (a *authority) sign(issuer *x509.Certificate, by crypto.Signer, id spiffeid.ID, ttl time.Duration, ca bool) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Country: []string{"US"}, Organization: []string{"spiffe-peer"}},
		URIs:                  []*url.URL{id.URL()},
		NotBefore:             now.Add(-10 * time.Second),
		NotAfter:              now.Add(ttl),
		BasicConstraintsValid: true,
		IsCA:                  ca,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by)
	return der, key, err
}

func (a *authority) mintJWT(id spiffeid.ID, audience []string, ttl time.Duration, extra object) (string, error) {
	by := a.signing()
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: by.jwtKey, KeyID: by.kid}}, options)
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims := object{"sub": id.String(), "aud": audience, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	for name, value := range extra {
		claims[name] = value
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// The roots side by side, as the Workload API carries them.
func (a *authority) x509Bundle() []byte {
	var all []byte
	for _, one := range a.keys {
		all = append(all, one.root.Raw...)
	}
	return all
}

// A JWKS without `use` and `alg`, as SPIRE gives it.
func (a *authority) jwtBundle() ([]byte, error) {
	if a.otherKeys != nil {
		return []byte(*a.otherKeys), nil
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, one := range a.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: one.jwtKey.Public(), KeyID: one.kid})
	}
	return json.Marshal(set)
}

func (a *authority) jwtAuthorities() (*jwtbundle.Bundle, error) {
	text, err := a.jwtBundle()
	if err != nil {
		return nil, err
	}
	return jwtbundle.Parse(a.td, text)
}

// A certificate for TLS servers, as the web has them.
func webLeaf(issuer *x509.Certificate, by crypto.Signer, names []string, addresses []net.IP) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), DNSNames: names, IPAddresses: addresses,
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by)
	return key, der, err
}

func serial() *big.Int {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return number.Add(number, big.NewInt(1))
}
