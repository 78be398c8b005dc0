//! Rules on small examples: who is reached, where, and what stays denied.

use std::collections::BTreeMap;

use super::*;

fn name(text: &str) -> RepositoryName {
    text.parse().expect("a repository name")
}

fn account(text: &str) -> Account {
    text.parse().expect("an account")
}

fn rule(who: &[&str], repositories: &[&str], allow: &[Right]) -> Rule {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Rule { who: texts(who), repositories: texts(repositories), allow: allow.to_vec() }
}

fn rules(list: &[Rule]) -> Rules {
    let groups = BTreeMap::from([("ci".to_owned(), vec!["alice".to_owned(), "robot".to_owned()])]);
    Rules::new(list, &groups).expect("rules")
}

fn access(list: &[Rule]) -> Access {
    let access = Access::default();
    access.replace(rules(list));
    access
}

fn may(access: &Access, who: &str, right: Right, repository: &str) -> bool {
    access.decide(&Caller::new(account(who)), right, Some(&name(repository))).is_ok()
}

#[test]
fn without_rules_only_the_operator_administers() {
    let access = Access::default();
    let place = name("a/b");
    for right in Right::ALL {
        let loopback = access.decide(&Caller::new(Account::Loopback), right, Some(&place));
        assert_eq!(loopback.is_ok(), right != Right::Admin, "{right:?}");
        assert!(access.decide(&Caller::new(Account::Operator), right, Some(&place)).is_ok());
        assert!(access.decide(&Caller::new(Account::Anonymous), right, Some(&place)).is_err());
        assert!(access.decide(&Caller::new(account("alice")), right, Some(&place)).is_err());
    }
}

#[test]
fn a_permit_covers_one_right_in_one_place() {
    let (access, caller, place) = (Access::default(), Caller::new(Account::Loopback), name("a/b"));
    let permit = access.decide(&caller, Right::Pull, Some(&place)).expect("allowed");
    assert_eq!((permit.repository(Right::Pull).expect("covered"), permit.account()), (&place, &Account::Loopback));
    assert!(permit.repository(Right::Push).is_err());
    let anywhere = access.decide(&caller, Right::Push, None).expect("allowed");
    assert!(anywhere.repository(Right::Push).is_err());
}

#[test]
fn with_rules_nobody_may_what_no_rule_allows() {
    let nothing = access(&[]);
    for who in ["anonymous", "loopback", "alice"] {
        for right in Right::ALL {
            assert!(!may(&nothing, who, right, "a"), "{who} {right:?}");
            assert!(nothing.decide(&Caller::new(account(who)), right, None).is_err(), "{who} {right:?}");
        }
    }
    assert!(may(&nothing, "operator", Right::Admin, "a"));
}

#[test]
fn each_word_of_who_reaches_whom_it_names() {
    let access = access(&[
        rule(&["anonymous"], &["public/**"], &[Right::Pull]),
        rule(&["authenticated"], &["shared/**"], &[Right::Pull]),
        rule(&["@ci"], &["build/**"], &[Right::Push]),
        rule(&["bob"], &["bob/**"], &[Right::Delete]),
    ]);
    let who = ["anonymous", "loopback", "alice", "robot", "bob"];
    let reached = |right, place: &str| who.map(|who| may(&access, who, right, place));
    assert_eq!(reached(Right::Pull, "public/a"), [true, false, true, true, true]);
    assert_eq!(reached(Right::Pull, "shared/a"), [false, false, true, true, true]);
    assert_eq!(reached(Right::Push, "build/a"), [false, false, true, true, false]);
    assert_eq!(reached(Right::Delete, "bob/a"), [false, false, false, false, true]);
    // One right is no other one, and a place no other place.
    assert_eq!(reached(Right::Push, "public/a"), [false; 5]);
    assert_eq!(reached(Right::Delete, "build/a"), [false; 5]);
    assert_eq!(reached(Right::Pull, "private/a"), [false; 5]);
}

#[test]
fn patterns_keep_to_segments() {
    let access = access(&[
        rule(&["alice"], &["one/*"], &[Right::Pull]),
        rule(&["alice"], &["deep/**"], &[Right::Pull]),
        rule(&["alice"], &["**/tool", "exact"], &[Right::Pull]),
    ]);
    let allowed = |place: &str| may(&access, "alice", Right::Pull, place);
    for place in ["one/a", "deep/a", "deep/a/b/c", "tool", "a/tool", "a/b/tool", "exact"] {
        assert!(allowed(place), "{place}");
    }
    for place in ["one", "one/a/b", "ones/a", "deep", "deeper/a", "tools", "a/tool/b", "exact/a", "exactly"] {
        assert!(!allowed(place), "{place}");
    }
}

#[test]
fn the_service_as_a_whole_takes_a_rule_for_every_repository() {
    let access = access(&[
        rule(&["alice"], &["a/**"], &[Right::Pull, Right::Claim]),
        rule(&["robot"], &["**"], &[Right::Claim]),
    ]);
    let service = |who| access.rights(&account(who), None);
    let set = |rights: &[Right]| rights.iter().copied().collect::<Rights>();
    // Listings show alice what she may pull; a claim that is placed nowhere is not hers to make.
    assert_eq!(service("alice"), set(&[Right::Pull]));
    assert_eq!(service("robot"), set(&[Right::Claim]));
    assert_eq!(service("anonymous"), Rights::NONE);
}

#[test]
fn a_token_reaches_no_further_than_its_scope_nor_than_the_rules() {
    let access = access(&[rule(&["alice"], &["a/**"], &[Right::Pull, Right::Push, Right::Tag])]);
    let pull: Rights = [Right::Pull, Right::Delete].into_iter().collect();
    let scope = Scope::new(vec![(Some(name("a/x")), pull), (None, Rights::ALL)]);
    let caller = Caller::within(account("alice"), Arc::new(scope));
    let decide = |right, place| access.decide(&caller, right, Some(&name(place)));
    assert!(decide(Right::Pull, "a/x").is_ok());
    assert_eq!(decide(Right::Push, "a/x").expect_err("denied").by, DeniedBy::Scope);
    assert_eq!(decide(Right::Pull, "a/y").expect_err("denied").by, DeniedBy::Scope);
    // What the rules do not give, no token gives.
    assert_eq!(decide(Right::Delete, "a/x").expect_err("denied").by, DeniedBy::Rules);
    assert!(access.decide(&caller, Right::Pull, None).is_ok());
    assert!(access.decide(&caller, Right::Claim, None).is_err());
}

#[test]
fn new_rules_count_from_the_next_question_on() {
    let access = access(&[rule(&["alice"], &["a"], &[Right::Pull])]);
    assert!(may(&access, "alice", Right::Pull, "a"));
    access.replace(rules(&[rule(&["bob"], &["a"], &[Right::Pull])]));
    assert!(!may(&access, "alice", Right::Pull, "a"));
    assert!(may(&access, "bob", Right::Pull, "a"));
}

#[test]
fn mistakes_in_rules_are_named() {
    let refused = |rule: Rule| Rules::new(&[rule], &BTreeMap::new()).expect_err("refused").to_string();
    for (broken, words) in [
        (rule(&[], &["a"], &[Right::Pull]), "`who` of access rule 1 is empty"),
        (rule(&["a"], &[], &[Right::Pull]), "`repositories` of access rule 1 is empty"),
        (rule(&["a"], &["a"], &[]), "`allow` of access rule 1 is empty"),
        (rule(&["@ci"], &["a"], &[Right::Pull]), "the group \"ci\""),
        (rule(&["a:b"], &["a"], &[Right::Pull]), "\"a:b\" is no account name"),
        (rule(&["operator"], &["a"], &[Right::Pull]), "\"operator\" cannot be an account name"),
        (rule(&["a"], &["a/{b"], &[Right::Pull]), "`repositories` of access rule 1 has a pattern"),
    ] {
        let said = refused(broken);
        assert!(said.contains(words), "{said}");
    }
    let reserved = BTreeMap::from([("ci".to_owned(), vec!["@other".to_owned()])]);
    assert!(Rules::new(&[], &reserved).expect_err("refused").to_string().contains("group \"ci\""));
}

#[test]
fn accounts_are_written_and_read_back() {
    for text in ["anonymous", "loopback", "operator", "alice", "a@b.example", "x"] {
        assert_eq!(account(text).to_string(), text);
    }
    for text in ["", "a b", "a:b", "a\n", "ä", "@ci", "authenticated", &"a".repeat(129)] {
        assert!(text.parse::<Account>().is_err(), "{text:?}");
    }
}
