package kubernetes

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// certificateStore creates certificates and keeps them as files in one directory.
type certificateStore struct{ dir string }

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

const (
	serviceName = "claimgate.claimgate-system.svc"
	// helmServiceName is the Service of the Helm release that a daemon runs for.
	helmServiceName = "claims.helm-daemon.svc"
)

func newCertificateStore(dir string) (*certificateStore, error) {
	p := &certificateStore{dir}
	server := p.authority("server-ca")
	client := p.authority("client-ca")
	front := p.authority("front-proxy-ca")
	stranger := p.authority("stranger-ca")
	// kube-apiserver also signs service account tokens with this key, so it must be RSA or P-256.
	p.leaf(server, "server", "kubernetes", nil, false)
	p.leaf(server, "claimgate", serviceName, nil, false)
	p.leaf(front, "front-proxy-client", "front-proxy-client", nil, true)
	p.leaf(client, "admin", "admin", []string{"system:masters"}, true)
	p.leaf(client, "connector", "claimgate-team-a", nil, true)
	p.leaf(client, "nobody", "nobody", nil, true)
	p.leaf(client, "developer", "developer", []string{"dev-users"}, true)
	p.leaf(client, "pretender", "front-proxy-client", nil, true)
	p.leaf(stranger, "stranger", "front-proxy-client", []string{"dev-users"}, true)
	return p, nil
}

func (p *certificateStore) file(name string) string { return filepath.Join(p.dir, name) }

func (p *certificateStore) read(name string) []byte {
	text, err := os.ReadFile(p.file(name))
	must(err)
	return text
}

func (p *certificateStore) authority(name string) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	p.write(name+".crt", "CERTIFICATE", der)
	return authority{cert, key}
}

func (p *certificateStore) leaf(ca authority, file, commonName string, organizations []string, isClient bool) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	usage := x509.ExtKeyUsageServerAuth
	if isClient {
		usage = x509.ExtKeyUsageClientAuth
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: commonName, Organization: organizations},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	if !isClient {
		template.DNSNames = []string{"localhost", "kubernetes.default.svc", serviceName, helmServiceName}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	must(err)
	p.write(file+".crt", "CERTIFICATE", der)
	p.write(file+".key", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func (p *certificateStore) write(name, kind string, der []byte) {
	must(os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// kubeconfig returns a user's kubeconfig for a server whose certificate is from the server CA.
func (p *certificateStore) kubeconfig(url, user string) string {
	data := func(name string) string { return base64.StdEncoding.EncodeToString(p.read(name)) }
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: it, user: {client-certificate-data: %s, client-key-data: %s}}]
`, url, data("server-ca.crt"), data(user+".crt"), data(user+".key"))
}

func notifyInterrupt(c chan os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) }
