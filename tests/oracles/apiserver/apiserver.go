//go:build tools

// Pins the API server that the live reader is tested against:
//
//	go build -o kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
//
// The replacements in go.mod stand for those of its own go.mod, which point into its source tree.
package apiserver

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
