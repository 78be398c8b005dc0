//! Registration policy in Rego: checked and compiled once, then asked about one input at a time.
//!
//! Nothing but the input can be read: there is no data document, no clock, no randomness, no network, and only built-in
//! functions of [`FUNCTIONS`]. An evaluation ends after [`INSTRUCTIONS_MAX`] instructions of regorus's virtual machine, which
//! are counted and not timed, so everybody who asks again gets the same answer.

use std::sync::{Arc, Mutex, PoisonError};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::VmError;
use regorus::rvm::{Instruction, Program, RegoVM};
use regorus::{Engine, PolicyLengthConfig, Value};
use serde::{Deserialize, Serialize};

/// Most modules of a policy.
pub const MODULES_MAX: usize = 16;
/// Most bytes of all its modules, written as JSON: an entry of the ledger must hold them.
pub const MODULES_BYTES_MAX: usize = 60 * 1024;
/// Most bytes of a line of a module: as many as of all.
const LINE_BYTES_MAX: u32 = 60 * 1024;
/// Most bytes of a module's name.
const MODULE_NAME_BYTES_MAX: usize = 64;
/// Instructions after which an evaluation is given up. What is refused for it must be refused for ever, so it is fixed.
pub const INSTRUCTIONS_MAX: usize = 50_000;
/// Machines that are kept: as many as evaluate at once on any machine worth mentioning.
const MACHINES_MAX: usize = 16;
/// How deep rules may call each other.
const CALLS_DEEP_MAX: usize = 32;
/// Most reasons of a refusal that are kept.
const REASONS_MAX: usize = 16;
/// Most bytes of a reason; the rest is cut off.
const REASON_BYTES_MAX: usize = 512;

/// A text of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The name that messages call it by, as of a file.
    pub name: String,
    /// Rego, version 1.
    pub text: String,
}

/// A policy that was checked and compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    modules: Vec<Module>,
    /// Or why there is none.
    program: Result<Arc<Program>, RulesError>,
    machines: Arc<Machines>,
    reads_earlier: bool,
}

/// Machines that have the program loaded and wait for the next input: to make one takes longer than most evaluations.
#[derive(Debug, Default)]
struct Machines(Mutex<Vec<RegoVM>>);

/// Why texts are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// None, or too many.
    #[error("a policy has 1 to {MODULES_MAX} modules, this has {found}")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// Too large.
    #[error("the modules of a policy have at most {MODULES_BYTES_MAX} bytes, written as JSON; these have {found}")]
    Size {
        /// How many bytes there are.
        found: usize,
    },
    /// A name that is none, or that stands twice.
    #[error(
        "{0:?} cannot name a module: names differ, and have 1 to {MODULE_NAME_BYTES_MAX} of a-z, A-Z, 0-9, '-', '_', '.'"
    )]
    Name(String),
    /// A module that is no Rego.
    #[error("module {module} is not understood: {reason}")]
    Module {
        /// Its name.
        module: String,
        /// What the parser says.
        reason: String,
    },
    /// A module of another package.
    #[error("module {module} is of {package}; all modules of a policy are of package docket.registration or below it")]
    Package {
        /// Its name.
        module: String,
        /// Its package.
        package: String,
    },
    /// Nobody is ever allowed.
    #[error("no module has a rule `allow` in package docket.registration, so nothing would ever be registered")]
    NoAllow,
    /// The modules do not fit together.
    #[error("the policy cannot be compiled: {0}")]
    Compile(String),
    /// A built-in function whose answer could differ, or that could take any amount of memory.
    #[error(
        "the policy calls {0}, which is not taken: policies decide by `input` alone, so that everybody can decide again"
    )]
    Function(String),
    /// Something outside the input is read.
    #[error("the policy reads {0}: policies read `input` and their own rules, and name those in full")]
    Outside(&'static str),
    /// Rules that call themselves, or each other too deep.
    #[error("the policy has a recursion, or rules that call each other more than {CALLS_DEEP_MAX} deep")]
    Deep,
    /// The sample that every policy is tried on.
    #[error("the policy fails on a sample statement: {0}")]
    Sample(String),
}

/// What a policy answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `allow` is true.
    Allowed,
    /// It is anything else; these are the `reasons`, sorted.
    Refused(Vec<String>),
    /// It could not be evaluated to its end.
    Failed(String),
}

impl Rules {
    /// Checks and compiles a policy.
    pub fn compile(modules: Vec<Module>) -> Result<Self, RulesError> {
        check_sizes(&modules)?;
        let mut engine = Engine::new();
        engine.set_policy_length_config(LENGTHS);
        for module in &modules {
            let added = engine.add_policy(module.name.clone(), module.text.clone());
            let package = added.map_err(|reason| RulesError::Module {
                module: module.name.clone(),
                reason: one_line(&reason.to_string()),
            })?;
            if package != PACKAGE && !package.starts_with(&format!("{PACKAGE}.")) {
                return Err(RulesError::Package { module: module.name.clone(), package });
            }
        }
        // So that the set of reasons is there, if empty, for rules that count it.
        engine.add_policy("docket".to_owned(), NO_REASONS.to_owned()).map_err(compile_error)?;
        let policy = engine.compile_with_entrypoint(&ALLOW.into()).map_err(|reason| {
            let has_allow = modules.iter().any(|module| module.text.contains("allow"));
            if has_allow { compile_error(reason) } else { RulesError::NoAllow }
        })?;
        let program = Compiler::compile_from_policy(&policy, &[ALLOW, REASONS]).map_err(compile_error)?;
        check_program(&program)?;
        let reads_earlier = modules.iter().any(|module| module.text.contains(EARLIER));
        let rules = Self { modules, program: Ok(program), machines: Arc::default(), reads_earlier };
        match rules.evaluate(super::input::sample()) {
            Answer::Allowed | Answer::Refused(_) => Ok(rules),
            Answer::Failed(reason) => Err(RulesError::Sample(reason)),
        }
    }

    /// A policy that stands in a ledger. Another release compiled it; where this one cannot, it refuses everything, so that
    /// the ledger opens and another policy can be set.
    pub fn of_ledger(modules: Vec<Module>) -> Self {
        Self::compile(modules.clone()).unwrap_or_else(|failure| Self {
            modules,
            program: Err(failure),
            machines: Arc::default(),
            reads_earlier: false,
        })
    }

    /// Why it refuses everything, if this release cannot compile it.
    pub fn unusable(&self) -> Option<&RulesError> {
        self.program.as_ref().err()
    }

    /// The texts it was compiled from.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Whether its input holds the earlier claims about the subject: if a text of it has the word `earlier`. Without it the
    /// answer cannot depend on them, because they are not there.
    pub fn reads_earlier(&self) -> bool {
        self.reads_earlier
    }

    /// Asks about one input.
    pub(super) fn evaluate(&self, input: Value) -> Answer {
        let program = match &self.program {
            Ok(program) => program,
            Err(failure) => return Answer::Failed(failure.to_string()),
        };
        let answer = self.machines.take().map_or_else(|| machine(program), Ok).and_then(|mut machine| {
            machine.set_input(input);
            let answer = answer(&mut machine)?;
            // One that failed is not used again; nor is an input kept for the next.
            machine.set_input(Value::Undefined);
            self.machines.put(machine);
            Ok(answer)
        });
        answer.unwrap_or_else(|failure| Answer::Failed(one_line(&failure.to_string())))
    }
}

fn machine(program: &Arc<Program>) -> Result<RegoVM, VmError> {
    let mut machine = RegoVM::new();
    machine.set_max_instructions(INSTRUCTIONS_MAX);
    machine.load_program(Arc::clone(program));
    machine.set_data(Value::new_object())?;
    Ok(machine)
}

impl Machines {
    fn take(&self) -> Option<RegoVM> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, machine: RegoVM) {
        let mut machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if machines.len() < MACHINES_MAX {
            machines.push(machine);
        }
    }
}

/// Every execution begins with the machine's own reset: count, caches, registers.
fn answer(machine: &mut RegoVM) -> Result<Answer, VmError> {
    if machine.execute_entry_point_by_name(ALLOW)? == Value::Bool(true) {
        return Ok(Answer::Allowed);
    }
    Ok(Answer::Refused(reasons(&machine.execute_entry_point_by_name(REASONS)?)))
}

/// Two policies are the same if their texts are.
impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.modules == other.modules
    }
}

impl Eq for Rules {}

fn check_sizes(modules: &[Module]) -> Result<(), RulesError> {
    if modules.is_empty() || modules.len() > MODULES_MAX {
        return Err(RulesError::Count { found: modules.len() });
    }
    let found = serde_json::to_string(modules).expect("texts").len();
    if found > MODULES_BYTES_MAX {
        return Err(RulesError::Size { found });
    }
    for (at, Module { name, .. }) in modules.iter().enumerate() {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let twice = modules[..at].iter().any(|before| before.name == *name);
        if name.is_empty() || name.len() > MODULE_NAME_BYTES_MAX || !name.bytes().all(allowed) || twice {
            return Err(RulesError::Name(name.clone()));
        }
    }
    Ok(())
}

/// What was compiled in the end may call and read, whatever the texts look like.
fn check_program(program: &Program) -> Result<(), RulesError> {
    for function in &program.builtin_info_table {
        if !FUNCTIONS.contains(&function.name.as_str()) {
            return Err(RulesError::Function(function.name.clone()));
        }
    }
    for instruction in &program.instructions {
        let outside = match instruction {
            Instruction::LoadData { .. } | Instruction::VirtualDataDocumentLookup { .. } => "`data`",
            Instruction::LoadContext { .. } | Instruction::LoadMetadata { .. } => "what its host knows",
            Instruction::HostAwait { .. } => "what its host would have to fetch",
            // A foreign enum, of which all others work on what they are given.
            _ => continue,
        };
        return Err(RulesError::Outside(outside));
    }
    let calls = calls(program);
    let mut depths = vec![None; calls.len()];
    (0..calls.len()).try_for_each(|rule| depth(&calls, rule, &mut depths, 0).map(drop))
}

/// Which rules each rule calls. An instruction belongs to the rule of which a body began last before it.
fn calls(program: &Program) -> Vec<Vec<usize>> {
    let mut owners = vec![None; program.instructions.len()];
    for (rule, info) in program.rule_infos.iter().enumerate() {
        let bodies = info.definitions.iter().flatten().chain(info.destructuring_blocks.iter().flatten());
        for start in bodies {
            if let Some(owner) = usize::try_from(*start).ok().and_then(|start| owners.get_mut(start)) {
                *owner = Some(rule);
            }
        }
    }
    let (mut calls, mut current) = (vec![Vec::new(); program.rule_infos.len()], None);
    for (instruction, owner) in program.instructions.iter().zip(owners) {
        current = owner.or(current);
        let called = match instruction {
            Instruction::CallRule { rule_index, .. } => Some(*rule_index),
            Instruction::FunctionCall { params_index } => {
                let params = program.instruction_data.function_call_params.get(usize::from(*params_index));
                params.map(|params| params.func_rule_index)
            }
            // A foreign enum; no other calls a rule.
            _ => None,
        };
        if let (Some(rule), Some(called)) = (current, called) {
            calls[rule].push(usize::from(called));
        }
    }
    calls
}

/// How deep the calls below a rule go. The machine calls by recursion of its own, so a cycle would end the process and not
/// the evaluation.
fn depth(calls: &[Vec<usize>], rule: usize, depths: &mut [Option<usize>], above: usize) -> Result<usize, RulesError> {
    let known = depths.get(rule).copied().flatten();
    if above + known.unwrap_or(0) > CALLS_DEEP_MAX {
        return Err(RulesError::Deep);
    }
    if let Some(known) = known {
        return Ok(known);
    }
    let mut deepest = 0;
    for called in calls.get(rule).into_iter().flatten() {
        deepest = deepest.max(1 + depth(calls, *called, depths, above + 1)?);
    }
    if let Some(entry) = depths.get_mut(rule) {
        *entry = Some(deepest);
    }
    Ok(deepest)
}

/// The texts in a set of reasons; anything else in it says nothing to anybody.
fn reasons(value: &Value) -> Vec<String> {
    let Ok(set) = value.as_set() else { return Vec::new() };
    let texts = set.iter().filter_map(|reason| reason.as_string().ok());
    texts.map(|text| one_line(text)).filter(|text| !text.is_empty()).take(REASONS_MAX).collect()
}

/// For people: bounded, and without characters that could disturb a terminal or a header.
fn one_line(text: &str) -> String {
    let text = text.trim();
    let end = text.floor_char_boundary(REASON_BYTES_MAX);
    text[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn compile_error(reason: impl std::fmt::Display) -> RulesError {
    RulesError::Compile(one_line(&reason.to_string()))
}

const PACKAGE: &str = "data.docket.registration";
const ALLOW: &str = "data.docket.registration.allow";
const REASONS: &str = "data.docket.registration.reasons";
/// The part of the input that is only there for policies that name it.
pub(super) const EARLIER: &str = "earlier";

const NO_REASONS: &str = "package docket.registration\n\nreasons contains reason if some reason in []\n";

/// Lines and columns are bounded by the size of all modules.
const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: std::num::NonZeroU32::new(LINE_BYTES_MAX).expect("not zero"),
    max_file_bytes: std::num::NonZeroUsize::new(MODULES_BYTES_MAX).expect("not zero"),
    max_lines: std::num::NonZeroUsize::new(MODULES_BYTES_MAX).expect("not zero"),
};

/// The built-in functions that policies may call: answers depend on the arguments alone, and take no more memory than these
/// do. `numbers.range`, `bits.lsh`, `regex.replace` and their like make much of little.
const FUNCTIONS: &[&str] = &[
    "__builtin_sets.intersection",
    "__builtin_sets.union",
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "indexof",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "lower",
    "max",
    "min",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "regex.match",
    "round",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "substring",
    "sum",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
];

#[cfg(test)]
mod tests;
