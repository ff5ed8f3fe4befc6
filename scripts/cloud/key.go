package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"edgepdm/scripts/cloud/account"
	"edgepdm/scripts/cloud/stack"
	"edgepdm/shared/modelstore/envelope"
)

// publicKey is the parameter with the key that the cores trust.
const publicKey = "ModelPublicKey"

// signingKey returns the public part of the key that signs models. It makes the key unless the stack's secret has one: a key is
// only ever in the secret, and a second one never replaces it.
func (x *session) signingKey(ctx context.Context, state *stack.State) (string, error) {
	secret := state.Output("SigningSecretArn")
	if secret == "" {
		return "", nil
	}
	answer, err := x.account.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secret})
	if account.Missing(err) { // the secret has no value yet
		return x.makeKey(ctx, secret)
	}
	if err != nil {
		return "", x.account.Fail("read the key that signs models", err)
	}
	key, err := envelope.ParsePrivateKey([]byte(aws.ToString(answer.SecretString)), "secret "+secret)
	if err != nil {
		return "", fmt.Errorf("read the key that signs models: %w", err)
	}
	return public(key), nil
}

func (x *session) makeKey(ctx context.Context, secret string) (string, error) {
	key, err := envelope.GenerateKey(nil)
	if err != nil {
		return "", fmt.Errorf("make the key that signs models: %w", err)
	}
	text, err := envelope.MarshalPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("make the key that signs models: %w", err)
	}
	value := string(text)
	if _, err := x.account.Secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &secret, SecretString: &value}); err != nil {
		return "", x.account.Fail("keep the key that signs models in secret "+secret, err)
	}
	x.tell.Line("Made the key that signs models, in secret %s", secret)
	return public(key), nil
}

func public(key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}
