package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// A Certificate says what is wrong with the certificate of a server.
type Certificate int

// An unknown issuer needs none of its own: it is what whoever does not know
// Server.CA sees.
const (
	Good      Certificate = iota // for 127.0.0.1 and localhost
	Expired                      // a day ago
	WrongHost                    // for elsewhere.example and 127.0.0.2
)

// An issuer makes certificates.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// makeCertificates writes the server's certificate, and those that clients
// need, of an issuer of its own.
func (s *Server) makeCertificates() {
	s.t.Helper()
	if s.Options.TLS == Plain {
		return
	}
	template := template("Penstock's tests")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	ca := issuer{template, s.newKey()}
	s.CA = s.file("ca.pem")
	s.writePEM(s.CA, "CERTIFICATE", s.sign(ca, template, ca.key))

	own := certificateTemplate(s.Options.Certificate)
	s.issue(ca, own, "certificate.pem", "key.pem")
	certificate, err := os.ReadFile(s.file("certificate.pem"))
	s.must(err)
	key, err := os.ReadFile(s.file("key.pem"))
	s.must(err)
	s.write("both.pem", string(key)+string(certificate))

	s.ClientCertificate, s.ClientKey = s.issue(ca, certificateTemplate(Good), "client.pem", "client-key.pem")
}

// certificateTemplate is a certificate of that kind, yet to be signed.
func certificateTemplate(kind Certificate) *x509.Certificate {
	c := template("127.0.0.1")
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	switch kind {
	case Good:
	case Expired:
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -30), time.Now().AddDate(0, 0, -1)
	case WrongHost:
		c.DNSNames, c.IPAddresses = []string{"elsewhere.example"}, []net.IP{net.IPv4(127, 0, 0, 2)}
		c.Subject.CommonName = "elsewhere.example"
	}
	return c
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().AddDate(0, 0, -60),
		NotAfter:     time.Now().AddDate(0, 0, 60),
	}
}

// issue writes a signed certificate and its key and returns their files.
func (s *Server) issue(ca issuer, template *x509.Certificate, certificate, key string) (string, string) {
	s.t.Helper()
	private := s.newKey()
	s.writePEM(s.file(certificate), "CERTIFICATE", s.sign(ca, template, private))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	s.must(err)
	s.writePEM(s.file(key), "PRIVATE KEY", der)
	return s.file(certificate), s.file(key)
}

func (s *Server) newKey() *ecdsa.PrivateKey {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	return key
}

func (s *Server) sign(ca issuer, template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	s.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, &key.PublicKey, ca.key)
	s.must(err)
	return der
}

// writePEM writes a file that only its owner, the server, may read: some
// servers insist.
func (s *Server) writePEM(file, kind string, der []byte) {
	s.t.Helper()
	s.must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	s.own(file)
}
