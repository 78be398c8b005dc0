# Who may make which claims. An issuer that is not in the table may make none, and one that is may make those of its list
# alone. Issuers are named by their identity (`iss`), which is verified; put your own in place of these.
package docket.registration

claim_types := {
	"https://wabbit.example": {"application/vnd.cyclonedx+json", "application/spdx+json"},
	"https://tests.wabbit.example": {"https://wabbit.example/claims/tested/v1"},
	"https://acme.example": {"https://acme.example/claims/approved/v1"},
}

reasons contains reason if {
	not input.claim.type in object.get(claim_types, input.issuer.id, set())
	reason := sprintf("issuer %s may not make claims of type %s", [input.issuer.id, input.claim.type])
}
