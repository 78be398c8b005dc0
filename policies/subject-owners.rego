# Whose word counts about which names. An issuer may use the signed subjects of its list alone: whole, or everything that
# begins so (where it ends with *).
#
# The name inside an artifact's subject is chosen by whoever signs; what is spoken of is the digest. So for artifacts a
# name of one's own is not enough: whoever was the first to make a claim about the digest says by that whose it is, and
# others may speak of it only if they share with that issuer the name that they use. Nobody gets to say anything about
# an artifact of somebody else by calling it by a name of their own. (Whoever registers a claim about a foreign digest
# first keeps its owner from speaking, which the owner notices at once, and the entry says who it was.)
package docket.registration

subject_names := {
	"https://wabbit.example": {"pkg:oci/net-monitor", "pkg:oci/wabbit-*"},
	"https://tests.wabbit.example": {"pkg:oci/net-monitor"},
	"https://acme.example": {"pkg:oci/rocket"},
}

# The signed subject without version, qualifiers and subpath.
subject_name := split(split(split(input.subject.text, "?")[0], "#")[0], "@")[0]

reasons contains reason if {
	not owns(input.issuer.id, subject_name)
	reason := sprintf("issuer %s may not speak of %s", [input.issuer.id, subject_name])
}

reasons contains reason if {
	input.subject.digest != null
	first := input.earlier[0]
	not owns(first.issuer, subject_name)
	reason := sprintf("%s was first claimed by %s, which may not speak of %s (entry %d)", [
		input.subject.digest,
		first.issuer,
		subject_name,
		first.index,
	])
}

owns(issuer, name) if {
	some pattern in object.get(subject_names, issuer, set())
	matches(pattern, name)
}

matches(pattern, name) if pattern == name

matches(pattern, name) if {
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}
