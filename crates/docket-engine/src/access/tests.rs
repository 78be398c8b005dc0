//! Rules on small examples: who is reached, where, and what stays denied.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::*;

const START: i64 = 1_700_000_000;

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

/// Rules with an account `alice`, whose password is `right`, and a group `ci`.
fn rules(list: &[Rule]) -> Rules {
    rules_with(list, &[]).expect("rules")
}

fn rules_with(list: &[Rule], immutable_tags: &[ImmutableTags]) -> Result<Rules, RulesError> {
    static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash("right", 4).expect("a hash"));
    Rules::new(RulesDraft {
        rules: list.to_vec(),
        groups: BTreeMap::from([("ci".to_owned(), vec!["alice".to_owned(), "robot".to_owned()])]),
        immutable_tags: immutable_tags.to_vec(),
        passwords: Passwords::parse(&format!("alice:{}", *HASH)).expect("passwords"),
        token_ttl: TOKEN_TTL_MIN,
    })
}

fn access(list: &[Rule]) -> Access {
    access_at(Clock::new(|| START), list)
}

fn access_at(clock: Clock, list: &[Rule]) -> Access {
    let access = Access::new(clock);
    replace(&access, rules(list));
    access
}

fn replace(access: &Access, rules: Rules) {
    access.replace(rules, || Ok(Tokens::new("https://registry.example", &[7; 32]))).expect("replaced");
}

/// A caller with a token for these scopes.
fn with_token(access: &Access, who: &str, scopes: &[&str]) -> Caller {
    let scope = Scope::parse(scopes.iter().copied()).expect("a scope");
    let issued = access.issue(&account(who), &scope).expect("there are rules");
    access.recognise(&issued.token).expect("our own token")
}

fn may(access: &Access, who: &str, right: Right, repository: &str) -> bool {
    access.decide(&Caller::new(account(who)), right, Some(&name(repository))).is_ok()
}

#[test]
fn without_rules_only_the_operator_administers() {
    let access = Access::new(Clock::new(|| START));
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
    let (access, caller, place) = (Access::new(Clock::new(|| START)), Caller::new(Account::Loopback), name("a/b"));
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
    let caller = with_token(&access, "alice", &["repository:a/x:pull,delete", "registry:catalog:*"]);
    let decide = |right, place| access.decide(&caller, right, Some(&name(place)));
    assert!(decide(Right::Pull, "a/x").is_ok());
    assert_eq!(decide(Right::Push, "a/x").expect_err("denied").by, DeniedBy::Scope);
    assert_eq!(decide(Right::Pull, "a/y").expect_err("denied").by, DeniedBy::Scope);
    // What the rules do not give, no token gives.
    assert_eq!(decide(Right::Delete, "a/x").expect_err("denied").by, DeniedBy::Rules);
    assert!(access.decide(&caller, Right::Pull, None).is_ok());
    assert!(access.decide(&caller, Right::Claim, None).is_err());
    // Clients ask for `push` and know no finer word.
    let pusher = with_token(&access, "alice", &["repository:a/x:pull,push"]);
    assert!(access.decide(&pusher, Right::Push, Some(&name("a/x"))).expect("allowed").moves_tags);
}

#[test]
fn a_token_is_asked_for_more_than_it_gets() {
    let access = access(&[
        rule(&["anonymous"], &["public/**"], &[Right::Pull]),
        rule(&["alice"], &["**"], &[Right::Pull, Right::Push, Right::Claim]),
    ]);
    let granted = |who: &str, scopes: &[&str]| {
        let caller = with_token(&access, who, scopes);
        let rights = |place: &str| caller.token().expect("a token").rights(Some(&name(place)));
        (rights("public/a"), rights("private/a"))
    };
    let set = |rights: &[Right]| rights.iter().copied().collect::<Rights>();
    let scopes =
        ["repository:public/a:pull,push repository:private/a:pull,push,delete,cook", "nonsense", "repository:A:pull"];
    assert_eq!(granted("anonymous", &scopes), (set(&[Right::Pull]), Rights::NONE));
    let all = set(&[Right::Pull, Right::Push, Right::Tag]);
    assert_eq!(granted("alice", &scopes), (all, all));
    let (public, _) = granted("alice", &["repository:public/a:*"]);
    assert_eq!(public, all.or(set(&[Right::Claim])));
    assert_eq!(granted("alice", &[]), (Rights::NONE, Rights::NONE));
}

#[test]
fn an_account_that_has_gone_takes_its_tokens_along() {
    let access = access(&[rule(&["authenticated"], &["a"], &[Right::Pull])]);
    let token = |who: &str| access.issue(&account(who), &Scope::default()).expect("there are rules").token;
    assert!(access.recognise(&token("alice")).is_ok());
    assert!(access.recognise(&token("anonymous")).is_ok());
    for who in ["bob", "operator", "loopback"] {
        assert_eq!(access.recognise(&token(who)).expect_err("refused"), TokenRefused, "{who}");
    }
}

#[test]
fn a_push_keeps_its_token_alive_and_only_for_itself() {
    let now = Arc::new(AtomicI64::new(START));
    let clock = Arc::clone(&now);
    let access = access_at(
        Clock::new(move || clock.load(Ordering::Relaxed)),
        &[rule(&["alice"], &["**"], &[Right::Pull, Right::Push, Right::Delete, Right::Claim])],
    );
    let caller = with_token(&access, "alice", &["repository:a:*", "repository:b:*", "registry:catalog:*"]);
    let by = |right, place: Option<&str>| {
        let decided = access.decide(&caller, right, place.map(name).as_ref());
        decided.map(drop).map_err(|denied| denied.by)
    };
    let pass = |seconds| {
        now.fetch_add(seconds, Ordering::Relaxed);
    };
    assert_eq!(by(Right::Push, Some("a")), Ok(()));
    assert_eq!(by(Right::Pull, Some("b")), Ok(()));
    // It lives 60 seconds, but the push to `a` goes on.
    for _ in 0..20 {
        pass(599);
        assert_eq!(by(Right::Pull, Some("a")), Ok(()));
        assert_eq!(by(Right::Push, Some("a")), Ok(()));
    }
    for (right, place) in [
        (Right::Push, Some("b")),
        (Right::Pull, Some("b")),
        (Right::Delete, Some("a")),
        (Right::Claim, Some("a")),
        (Right::Pull, None),
    ] {
        assert_eq!(by(right, place), Err(DeniedBy::Expired), "{right:?} {place:?}");
    }
    // A request that takes long counts until it ends.
    let long = access.decide(&caller, Right::Push, Some(&name("a"))).expect("allowed");
    pass(5000);
    assert_eq!(by(Right::Pull, Some("a")), Ok(()));
    drop(long);
    pass(600);
    assert_eq!(by(Right::Push, Some("a")), Ok(()));
    pass(601);
    assert_eq!(by(Right::Push, Some("a")), Err(DeniedBy::Expired));
}

#[test]
fn a_push_of_more_than_a_day_needs_a_new_token() {
    let now = Arc::new(AtomicI64::new(START));
    let clock = Arc::clone(&now);
    let access =
        access_at(Clock::new(move || clock.load(Ordering::Relaxed)), &[rule(&["alice"], &["a"], &[Right::Push])]);
    let caller = with_token(&access, "alice", &["repository:a:push"]);
    let _going_on = access.decide(&caller, Right::Push, Some(&name("a"))).expect("allowed");
    let is_allowed = |at: i64| {
        now.store(at, Ordering::Relaxed);
        access.decide(&caller, Right::Push, Some(&name("a"))).is_ok()
    };
    assert!(is_allowed(START + 24 * 3600 - 1));
    assert!(!is_allowed(START + 24 * 3600));
}

#[test]
fn immutable_tags_are_told_by_patterns_and_exceptions() {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let immutable =
        ImmutableTags { repositories: texts(&["release/**"]), tags: texts(&["v*"]), except: texts(&["*-rc*"]) };
    let rules = rules_with(&[], &[immutable]).expect("rules");
    let rule = |place: &str, tag: &str| rules.immutable(&name(place), &tag.parse().expect("a tag")).map(str::to_owned);
    let written = "tags v* except *-rc* of release/** are immutable";
    assert_eq!(rule("release/app", "v1").as_deref(), Some(written));
    for (place, tag) in [("release/app", "v1-rc2"), ("release/app", "latest"), ("dev/app", "v1"), ("release", "v1")] {
        assert_eq!(rule(place, tag), None, "{place}:{tag}");
    }
}

#[test]
fn new_rules_count_from_the_next_question_on() {
    let access = access(&[rule(&["alice"], &["a"], &[Right::Pull])]);
    assert!(may(&access, "alice", Right::Pull, "a"));
    replace(&access, rules(&[rule(&["bob"], &["a"], &[Right::Pull])]));
    assert!(!may(&access, "alice", Right::Pull, "a"));
    assert!(may(&access, "bob", Right::Pull, "a"));
}

#[test]
fn mistakes_in_rules_are_named() {
    let refused = |rule: Rule| rules_with(&[rule], &[]).expect_err("refused").to_string();
    for (broken, words) in [
        (rule(&[], &["a"], &[Right::Pull]), "`who` of access rule 1 is empty"),
        (rule(&["a"], &[], &[Right::Pull]), "`repositories` of access rule 1 is empty"),
        (rule(&["a"], &["a"], &[]), "`allow` of access rule 1 is empty"),
        (rule(&["@staff"], &["a"], &[Right::Pull]), "the group \"staff\""),
        (rule(&["a:b"], &["a"], &[Right::Pull]), "\"a:b\" is no account name"),
        (rule(&["operator"], &["a"], &[Right::Pull]), "\"operator\" cannot be an account name"),
        (rule(&["a"], &["a/{b"], &[Right::Pull]), "`repositories` of access rule 1 has a pattern"),
    ] {
        let said = refused(broken);
        assert!(said.contains(words), "{said}");
    }
    let nothing = ImmutableTags { repositories: vec!["**".to_owned()], tags: Vec::new(), except: Vec::new() };
    let said = rules_with(&[], &[nothing]).expect_err("refused").to_string();
    assert!(said.contains("`tags` of immutable_tags 1 is empty"), "{said}");
    let draft = |groups, token_ttl| RulesDraft {
        rules: Vec::new(),
        groups,
        immutable_tags: Vec::new(),
        passwords: Passwords::none(),
        token_ttl,
    };
    let reserved = BTreeMap::from([("ci".to_owned(), vec!["@other".to_owned()])]);
    let said = Rules::new(draft(reserved, TOKEN_TTL_MIN)).expect_err("refused").to_string();
    assert!(said.contains("group \"ci\""), "{said}");
    let short = Rules::new(draft(BTreeMap::new(), Duration::from_secs(59))).expect_err("refused");
    assert!(short.to_string().contains("less than 60 seconds"), "{short}");
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

#[test]
fn accounts_without_a_password_are_told() {
    let unknown = |list: &[Rule]| {
        let rules = rules(list);
        rules.unknown_accounts().into_iter().map(|account| account.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(unknown(&[rule(&["@ci", "bob", "anonymous"], &["a"], &[Right::Pull])]), ["bob", "robot"]);
}
