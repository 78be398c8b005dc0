# How old a statement may be when it is registered. The time it says it was signed at (`iat`) is the issuer's word;
# `input.now` is the time of the decision, which the ledger keeps with the entry.
package docket.registration

# A day.
seconds_old_max := 86400

# Clocks differ.
seconds_ahead_max := 300

reasons contains "the statement does not say when it was signed (iat)" if not is_number(input.headers.cwt.iat)

reasons contains reason if {
	is_number(input.headers.cwt.iat)
	age := input.now - input.headers.cwt.iat
	age > seconds_old_max
	reason := sprintf("the statement was signed %d seconds ago; the most is %d", [age, seconds_old_max])
}

reasons contains reason if {
	is_number(input.headers.cwt.iat)
	ahead := input.headers.cwt.iat - input.now
	ahead > seconds_ahead_max
	reason := sprintf("the statement says it was signed %d seconds from now; the most is %d", [ahead, seconds_ahead_max])
}
