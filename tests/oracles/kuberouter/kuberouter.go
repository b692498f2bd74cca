//go:build tools

// Pins the policy controller that enforces policies in the lab:
//
//	go build -o kube-router github.com/cloudnativelabs/kube-router/v2/cmd/kube-router
package kuberouter

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
