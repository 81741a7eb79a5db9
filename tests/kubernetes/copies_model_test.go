package kubernetes

import (
	"fmt"
	"maps"
	"slices"
)

// localKey is the namespace and the name of a claim or a Secret in the app cluster.
type localKey struct{ namespace, name string }

func (k localKey) String() string { return k.namespace + "/" + k.name }

// modelClaim is a claim, with the local name of its connection Secret.
type modelClaim struct{ uid, secret string }

// modelSecret is a Secret with the UID of the claim that owns it. The owner is empty if no claim does.
type modelSecret struct{ owner, value string }

// copiesModel says which Secrets the app cluster has after everything works again. Outages and
// daemons that stop are not part of it, because they must not change the result.
type copiesModel struct {
	claims map[localKey]modelClaim
	// The Secrets on the control plane, by the local names of their copies.
	remote map[localKey]modelSecret
	// The Secrets in the app cluster that are not copies. They are owned by a claim if they were copies before.
	foreign map[localKey]modelSecret
}

func newCopiesModel() *copiesModel {
	return &copiesModel{map[localKey]modelClaim{}, map[localKey]modelSecret{}, map[localKey]modelSecret{}}
}

// describeCopy and describeForeign are how states are compared.
func describeCopy(owner, value string) string { return fmt.Sprintf("copy for %s: %s", owner, value) }
func describeForeign(value string) string     { return "foreign: " + value }

// expected returns the Secrets of the app cluster.
func (m *copiesModel) expected() map[localKey]string {
	all := map[localKey]string{}
	for key, claim := range m.claims {
		place := localKey{key.namespace, claim.secret}
		if secret, found := m.remote[place]; found && secret.owner == claim.uid {
			all[place] = describeCopy(claim.uid, secret.value)
		}
	}
	for place, secret := range m.foreign {
		all[place] = describeForeign(secret.value)
	}
	return all
}

// deleteClaim removes a claim and what it owns, as garbage collectors do.
func (m *copiesModel) deleteClaim(key localKey) {
	uid := m.claims[key].uid
	delete(m.claims, key)
	isOwned := func(_ localKey, secret modelSecret) bool { return secret.owner == uid }
	maps.DeleteFunc(m.remote, isOwned)
	maps.DeleteFunc(m.foreign, isOwned)
}

// hasClaim reports whether a claim with this UID exists.
func (m *copiesModel) hasClaim(uid string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(m.claims)), func(claim modelClaim) bool { return claim.uid == uid })
}

// publisher returns the claim that writes its Secret, and whether it may: the claim exists, names a Secret, and
// nobody else has the Secret.
func (m *copiesModel) publisher(key localKey) (place localKey, claim modelClaim, may bool) {
	claim, found := m.claims[key]
	place = localKey{key.namespace, claim.secret}
	secret, exists := m.remote[place]
	return place, claim, found && claim.secret != "" && (!exists || secret.owner == claim.uid)
}
