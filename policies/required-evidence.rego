# What must have been said about an artifact before a claim of some type is made about it, and by whom: each claim type in
# the list must stand in the ledger already, from one of the issuers beside it.
package docket.registration

required_evidence := {"https://acme.example/claims/approved/v1": {
	"application/vnd.cyclonedx+json": {"https://wabbit.example"},
	"https://wabbit.example/claims/tested/v1": {"https://tests.wabbit.example"},
}}

reasons contains reason if {
	some required, issuers in object.get(required_evidence, input.claim.type, {})
	not was_claimed(required, issuers)
	reason := sprintf("%s needs an earlier claim of type %s about the same artifact", [input.claim.type, required])
}

was_claimed(required, issuers) if {
	some claim in input.earlier
	claim.type == required
	claim.issuer in issuers
}
