// Judges connections under CiliumNetworkPolicies with Cilium's own code, and the documents with its schema.
//
// Reads one JSON object a line: {"policies": [CiliumNetworkPolicy...], "flows": [{"way", "subject", "peer", "address",
// "protocol", "port"}...], "keys": [label keys]}, and answers with one a line:
//
//	{"errors": [...],    of decoding into Cilium's types with no field unknown, and of Rule.Sanitize
//	 "schema": [...],    of Cilium's CustomResourceDefinition, as the API server applies it
//	 "allowed": [...],   for each flow whether the subject's side lets it pass
//	 "kept": [...]}      for each key whether a pod's label is part of its identity by default
//
// An end is a list of labels with their source ("k8s:app=web", "reserved:host"), and an address where it is outside the
// cluster. That a rule matches when its peers and its ports do is put together here; what a selector, an entity or an
// ICMP type means is Cilium's to say. Names of ports and of hosts are not asked for.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"

	crds "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/client/crds/v2"
	"github.com/cilium/cilium/pkg/k8s/apis/cilium.io/utils"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/labelsfilter"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy/api"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

type policy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              *api.Rule `json:"spec"`
}

type flow struct {
	Way      string   `json:"way"`
	Subject  []string `json:"subject"`
	Peer     []string `json:"peer"`
	Address  string   `json:"address"`
	Protocol string   `json:"protocol"`
	Port     uint16   `json:"port"`
}

type question struct {
	Policies []json.RawMessage `json:"policies"`
	Flows    []flow            `json:"flows"`
	Keys     []string          `json:"keys"`
}

type answer struct {
	Errors  []string `json:"errors"`
	Schema  []string `json:"schema"`
	Allowed []bool   `json:"allowed"`
	Kept    []bool   `json:"kept"`
}

// definition is the schema of CiliumNetworkPolicy.
type definition struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

var silent = slog.New(slog.DiscardHandler)

func main() {
	option.Config.EnableIPv4, option.Config.EnableIPv6 = true, true
	option.Config.EnableL7Proxy, option.Config.EnableICMPRules = true, true
	option.Config.EnableNonDefaultDenyPolicies = true
	check(labelsfilter.ParseLabelPrefixCfg(silent, nil, nil, ""))
	loaded, err := load()
	check(err)
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 0, 1<<20), 1<<26)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var asked question
		check(json.Unmarshal(input.Bytes(), &asked))
		check(output.Encode(judge(asked, loaded)))
	}
	check(input.Err())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load() (definition, error) {
	var found apiextensionsv1.CustomResourceDefinition
	text, err := crds.EmbedFS.ReadFile("ciliumnetworkpolicies.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &found)
	}
	for _, version := range found.Spec.Versions {
		if version.Name == "v2" && err == nil {
			var props apiextensions.JSONSchemaProps
			err = apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
				version.Schema.OpenAPIV3Schema, &props, nil)
			check(err)
			structural, err := schema.NewStructural(&props)
			check(err)
			validator, _, err := validation.NewSchemaValidator(&props)
			return definition{structural, validator}, err
		}
	}
	return definition{}, errors.Join(err, errors.New("the definition has no version v2"))
}

func judge(asked question, loaded definition) answer {
	result := answer{Errors: []string{}, Schema: []string{}, Allowed: []bool{}, Kept: []bool{}}
	var rules []*api.Rule
	for _, text := range asked.Policies {
		result.Schema = append(result.Schema, loaded.problems(text)...)
		var found policy
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&found)
		if err == nil && found.Spec == nil {
			err = errors.New("no spec")
		}
		if err == nil {
			err = found.Spec.Sanitize()
		}
		if err != nil {
			result.Errors = append(result.Errors, fmt.Sprintf("%s/%s: %v", found.Namespace, found.Name, err))
			continue
		}
		rules = append(rules, utils.ParseToCiliumRule(silent, "", found.Namespace, found.Name, "", found.Spec))
	}
	for _, item := range asked.Flows {
		result.Allowed = append(result.Allowed, allowed(rules, item))
	}
	for _, key := range asked.Keys {
		kept, _ := labelsfilter.Filter(labels.Labels{key: labels.NewLabel(key, "x", labels.LabelSourceK8s)})
		result.Kept = append(result.Kept, len(kept) == 1)
	}
	return result
}

func (d definition) problems(text []byte) []string {
	var object, again map[string]any
	check(json.Unmarshal(text, &object))
	check(json.Unmarshal(text, &again))
	var found []string
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, d.structural, true, options) {
		found = append(found, "unknown field "+path)
	}
	for _, failure := range validation.ValidateCustomResource(nil, again, d.validator) {
		found = append(found, failure.Error())
	}
	return found
}

// side is one rule of one direction.
type side struct {
	endpoints api.EndpointSelectorSlice
	entities  api.EntitySlice
	cidrs     api.CIDRSlice
	cidrSet   api.CIDRRuleSlice
	names     bool
	ports     api.PortRules
	icmps     api.ICMPRules
}

func sides(rule *api.Rule, way string) []side {
	var found []side
	if way == "ingress" {
		for _, item := range rule.Ingress {
			found = append(found, side{item.FromEndpoints, item.FromEntities, item.FromCIDR, item.FromCIDRSet, false,
				item.ToPorts, item.ICMPs})
		}
		return found
	}
	for _, item := range rule.Egress {
		found = append(found, side{item.ToEndpoints, item.ToEntities, item.ToCIDR, item.ToCIDRSet,
			len(item.ToFQDNs) > 0, item.ToPorts, item.ICMPs})
	}
	return found
}

// allowed is whether one side lets the flow pass: a rule in its direction isolates it, and then one has to match.
func allowed(rules []*api.Rule, asked flow) bool {
	subject, peer := parse(asked.Subject), parse(asked.Peer)
	isolated := false
	for _, rule := range rules {
		if !matches(rule.EndpointSelector, subject) {
			continue
		}
		for _, item := range sides(rule, asked.Way) {
			isolated = true
			if item.covers(peer, asked.Address) && item.onPort(asked) {
				return true
			}
		}
	}
	return !isolated
}

func parse(texts []string) labels.LabelArray {
	var found labels.LabelArray
	for _, text := range texts {
		found = append(found, labels.ParseLabel(text))
	}
	return found
}

func (s side) covers(peer labels.LabelArray, at string) bool {
	if s.endpoints == nil && s.entities == nil && s.cidrs == nil && s.cidrSet == nil && !s.names {
		return len(s.ports)+len(s.icmps) > 0
	}
	for _, selector := range append(slices.Clone(s.endpoints), s.entities.GetAsEndpointSelectors()...) {
		if matches(selector, peer) {
			return true
		}
	}
	if at == "" {
		return false
	}
	address := netip.MustParseAddr(at)
	inside := func(cidr api.CIDR) bool { return netip.MustParsePrefix(string(cidr)).Contains(address) }
	return slices.ContainsFunc(s.cidrs, inside) || slices.ContainsFunc(s.cidrSet, func(item api.CIDRRule) bool {
		return inside(item.Cidr) && !slices.ContainsFunc(item.ExceptCIDRs, inside)
	})
}

// matches compares a selector with an identity; what a key with its source means is up to LabelArray.
func matches(selector api.EndpointSelector, identity labels.LabelArray) bool {
	for key, value := range selector.MatchLabels {
		if found, exists := identity.Lookup(key); !exists || found != value {
			return false
		}
	}
	for _, item := range selector.MatchExpressions {
		found, exists := identity.Lookup(item.Key)
		in := exists && slices.Contains(item.Values, found)
		holds := map[string]bool{"In": in, "NotIn": !in, "Exists": exists, "DoesNotExist": !exists}
		if !holds[string(item.Operator)] {
			return false
		}
	}
	return true
}

func (s side) onPort(asked flow) bool {
	var listed []api.PortProtocol
	for _, item := range s.ports {
		listed = append(listed, item.Ports...)
	}
	for _, item := range s.icmps {
		listed = append(listed, item.GetPortProtocols()...)
	}
	for _, item := range listed {
		first, err := strconv.ParseUint(item.Port, 10, 16)
		if err != nil || string(item.Protocol) != asked.Protocol {
			continue
		}
		last, port := max(uint64(item.EndPort), first), uint64(asked.Port)
		if first <= port && port <= last || first == 0 && len(s.icmps) == 0 {
			return true
		}
	}
	return len(listed) == 0
}
