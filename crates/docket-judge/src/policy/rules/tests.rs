use serde_json::json;

use super::super::input::of_json;
use super::*;

fn modules(texts: &[&str]) -> Vec<Module> {
    let module = |(at, text): (usize, &&str)| Module { name: format!("m{at}.rego"), text: (*text).to_owned() };
    texts.iter().enumerate().map(module).collect()
}

/// A policy of one module, of which only the rules are given.
fn policy(rules: &str) -> Result<Rules, RulesError> {
    Rules::compile(modules(&[&format!("package docket.registration\n\n{rules}\n")]))
}

fn evaluate(rules: &str, input: &serde_json::Value) -> Answer {
    policy(rules).expect("a policy").evaluate(of_json(input))
}

#[test]
fn what_is_not_allowed_is_refused() {
    assert_eq!(evaluate("allow := true", &json!({})), Answer::Allowed);
    for refused in
        ["allow := false", "allow if input.absent", "allow := 1", "allow := \"true\"", "default allow := false"]
    {
        assert_eq!(evaluate(refused, &json!({})), Answer::Refused(Vec::new()), "{refused}");
    }
}

#[test]
fn reasons_are_texts_bounded_and_fit_for_a_terminal() {
    let rules = "default allow := false\nreasons contains \"b\"\nreasons contains \"a\\u001b[31m\\nc\"\nreasons contains 7\n\
        reasons contains \"\"";
    let Answer::Refused(reasons) = evaluate(rules, &json!({})) else { panic!("refused") };
    assert_eq!(reasons, ["a [31m c", "b"]);

    let rules = "default allow := false\nreasons contains reason if some reason in input.all";
    let all: Vec<_> = (0..1000).map(|n| format!("{n:03}{}", "é".repeat(2 * REASON_BYTES_MAX))).collect();
    let Answer::Refused(reasons) = evaluate(rules, &json!({ "all": all })) else { panic!("refused") };
    assert_eq!(reasons.len(), REASONS_MAX);
    assert!(reasons.iter().all(|reason| reason.len() <= REASON_BYTES_MAX && reason.starts_with('0')));
}

#[test]
fn several_modules_are_one_policy_and_count_their_reasons() {
    let all = modules(&[
        "package docket.registration\nallow if count(reasons) == 0",
        "package docket.registration\nreasons contains \"too small\" if input.n < data.docket.registration.sizes.least",
        "package docket.registration.sizes\nleast := 7",
    ]);
    let rules = Rules::compile(all.clone()).expect("a policy");
    assert_eq!(rules.modules(), all);
    assert_eq!(rules.evaluate(of_json(&json!({ "n": 7 }))), Answer::Allowed);
    assert_eq!(rules.evaluate(of_json(&json!({ "n": 6 }))), Answer::Refused(vec!["too small".to_owned()]));
}

#[test]
fn the_same_input_gets_the_same_answer() {
    let rules = policy("allow if input.a[_] == input.b").expect("a policy");
    let input = json!({ "a": [1, 2, 3], "b": 3 });
    assert!((0..50).all(|_| rules.evaluate(of_json(&input)) == Answer::Allowed));
}

#[test]
fn an_evaluation_knows_nothing_of_those_before() {
    let rules = "default allow := false\n\nallow if {\n\tcount(input.all) == n\n\tlower(input.name) == \"a\"\n}\n\n\
        n := count([x | some x in input.all; x >= 0])\n\n\
        reasons contains sprintf(\"%s has %d\", [input.name, n]) if not allow";
    let rules = policy(rules).expect("a policy");
    let many: Vec<_> = (0..20_000).collect();
    let ask = |name: &str, all: &[i64]| rules.evaluate(of_json(&json!({ "name": name, "all": all })));
    for _ in 0..10 {
        assert_eq!(ask("A", &[1, 2]), Answer::Allowed);
        assert_eq!(ask("b", &[1]), Answer::Refused(vec!["b has 1".to_owned()]));
        assert_eq!(ask("A", &[-1]), Answer::Refused(vec!["A has 0".to_owned()]));
        assert!(matches!(ask("A", &many), Answer::Failed(_)));
        assert_eq!(rules.evaluate(of_json(&json!({}))), Answer::Refused(Vec::new()));
    }
}

#[test]
fn texts_that_are_no_policy_are_refused_by_name() {
    let cases: [(&str, &[&str]); 18] = [
        ("package docket.registration\nallow if {", &["module m0.rego is not understood"]),
        ("package docket.other\nallow := true", &["m0.rego", "data.docket.other", "docket.registration"]),
        ("package docket.registration_too\nallow := true", &["docket.registration_too"]),
        ("package docket.registration\nrefuse := true", &["no module has a rule `allow`"]),
        ("package docket.registration\nallow if time.now_ns() > 0", &["time.now_ns"]),
        ("package docket.registration\nallow if rand.intn(\"a\", 7) > 0", &["rand.intn"]),
        (
            "package docket.registration\nallow if http.send({\"method\": \"get\", \"url\": \"http://a\"})",
            &["http.send"],
        ),
        ("package docket.registration\nallow if uuid.rfc4122(\"a\") != \"\"", &["uuid.rfc4122"]),
        ("package docket.registration\nallow if opa.runtime().env.HOME", &["opa.runtime"]),
        ("package docket.registration\nallow if count(numbers.range(1, 1000000000)) > 1", &["numbers.range"]),
        ("package docket.registration\nallow if bits.lsh(1, 1000000000) > 1", &["bits.lsh"]),
        ("package docket.registration\nallow if trace(\"here\")", &["trace"]),
        ("package docket.registration\nallow if data.users[input.issuer.id]", &["`data`"]),
        ("package docket.registration\nallow if data[input.a][input.b]", &["recursion"]),
        ("package docket.registration\nallow if allow", &["recursi"]),
        ("package docket.registration\nallow if a\na if not b\nb if count(c) > 0\nc contains 1 if a", &["recursi"]),
        ("package docket.registration\nallow if f(1)\nf(x) if g(x)\ng(x) if f(x + 1)", &["recursi"]),
        ("allow := true", &["m0.rego"]),
    ];
    for (text, words) in cases {
        let refused = Rules::compile(modules(&[text])).expect_err(text).to_string();
        assert!(words.iter().all(|word| refused.contains(word)), "{text}: {refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
}

#[test]
fn a_policy_that_does_not_end_is_given_up_at_the_same_instruction() {
    let rules = policy("allow if {\n\tsome a in input.n\n\tsome b in input.n\n\tsome c in input.n\n\ta + b + c < 0\n}");
    let rules = rules.expect("a policy");
    let many: Vec<_> = (0..1000).collect();
    let answers: Vec<_> = (0..3).map(|_| rules.evaluate(of_json(&json!({ "n": many })))).collect();
    let Answer::Failed(reason) = &answers[0] else { panic!("it ended: {:?}", answers[0]) };
    assert!(reason.contains("50000"), "{reason}");
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(rules.evaluate(of_json(&json!({ "n": [1, -3] }))), Answer::Allowed);
}

#[test]
fn a_policy_that_contradicts_itself_refuses() {
    let rules = policy("allow := true if input.a\n\nallow := false if input.b").expect("a policy");
    assert_ne!(rules.evaluate(of_json(&json!({ "a": true, "b": true }))), Answer::Allowed);
    assert_eq!(rules.evaluate(of_json(&json!({ "a": true, "b": false }))), Answer::Allowed);
}

#[test]
fn sizes_are_bounded_and_one_more_is_refused() {
    assert_eq!(Rules::compile(Vec::new()), Err(RulesError::Count { found: 0 }));
    let many = |count| (0..count).map(|n| Module { name: format!("m{n}"), text: ALLOW_ALL.to_owned() }).collect();
    assert_eq!(Rules::compile(many(MODULES_MAX + 1)), Err(RulesError::Count { found: MODULES_MAX + 1 }));
    let sized = |bytes: usize| {
        let module =
            |blanks: usize| Module { name: "m".to_owned(), text: format!("{ALLOW_ALL}{}", " ".repeat(blanks)) };
        let empty = serde_json::to_string(&[module(0)]).expect("texts").len();
        Rules::compile(vec![module(bytes - empty)])
    };
    assert!(sized(MODULES_BYTES_MAX).is_ok());
    assert_eq!(sized(MODULES_BYTES_MAX + 1), Err(RulesError::Size { found: MODULES_BYTES_MAX + 1 }));
    let named = |names: &[&str]| {
        let module = |name: &&str| Module { name: (*name).to_owned(), text: ALLOW_ALL.to_owned() };
        Rules::compile(names.iter().map(module).collect())
    };
    let long = "n".repeat(MODULE_NAME_BYTES_MAX + 1);
    for bad in [["a", ""], ["a", "a"], ["a", "b c"], ["a", "../b"], ["a", &long]] {
        assert_eq!(named(&bad), Err(RulesError::Name(bad[1].to_owned())));
    }
}

#[test]
fn only_policies_that_name_them_are_told_of_earlier_claims() {
    assert!(!policy("allow := true").expect("a policy").reads_earlier());
    assert!(policy("allow if count(input.earlier) == 0").expect("a policy").reads_earlier());
    assert!(policy("allow if input[\"earlier\"][0]").expect("a policy").reads_earlier());
}

const ALLOW_ALL: &str = "package docket.registration\nallow := true";

#[test]
fn rules_may_call_each_other_only_so_deep() {
    let chain = |length: usize| {
        let links: Vec<_> = (0..length).map(|n| format!("r{n} if r{}\n", n + 1)).collect();
        format!("allow if r0\n{}r{length} := true", links.concat())
    };
    let deepest = policy(&chain(CALLS_DEEP_MAX - 1)).expect("just deep enough");
    assert_eq!(deepest.evaluate(of_json(&json!({}))), Answer::Allowed);
    assert_eq!(policy(&chain(CALLS_DEEP_MAX)), Err(RulesError::Deep));
}
