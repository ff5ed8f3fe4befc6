package device

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// Step is where a device's way to its core ended.
type Step string

// The steps, in their order.
const (
	StepCertificate Step = "certificate" // the device's own certificate, key or root CAs cannot be used
	StepDiscovery   Step = "discovery"   // the cloud does not say where the core is
	StepNetwork     Step = "network"     // the core is not reached
	StepTrust       Step = "trust"       // no CA that discovery gave has signed the core's certificate
	StepName        Step = "tls-name"    // the core's certificate is for other addresses
	StepPolicy      Step = "policy"      // the cloud or the core refuses the device: a policy or an association is missing
)

// Error says which step failed, and what may be done.
type Error struct {
	Step Step
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is what a program exits with: 10 to 15, in the order of the steps.
func (e *Error) ExitCode() int { return 10 + slices.Index(steps, e.Step) }

var steps = []Step{StepCertificate, StepDiscovery, StepNetwork, StepTrust, StepName, StepPolicy}

func failed(step Step, err error) error { return &Error{step, err} }

// StepOf returns the step that failed; "" for another error.
func StepOf(err error) Step {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Step
	}
	return ""
}

// tlsStep says which step a failed handshake belongs to; other is the step of what is no such failure.
func tlsStep(err error, other Step) Step {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return StepName
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return StepTrust
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return StepTrust
	}
	// The peer's alert comes after the handshake with TLS 1.3: it refuses the device's certificate.
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return StepPolicy
	}
	return other
}
