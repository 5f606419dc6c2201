//! What the names of a scope stand for that stand for each other, in circles too: each thing goes from name to
//! name until nothing new arrives anywhere. Linear in the assignments, because a name takes a bounded number.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::project::{TARGETS_MAX, Target};

/// Assignments with attributes that a thing remembers to have come through: in a circle with attributes it goes
/// through each once, where names would grow for ever.
const REMEMBERED: usize = 8;

/// From one name to another, perhaps with attributes: `to = from.attributes`.
struct Assignment {
    to: usize,
    number: usize,
    attributes: String,
}

/// Something on its way.
struct Arrival {
    at: usize,
    target: Target,
    through: SmallVec<[usize; REMEMBERED]>,
}

/// Names by their numbers, and what is assigned among them.
pub(crate) struct Flow {
    found: Vec<Vec<Target>>,
    assignments: Vec<Vec<Assignment>>,
    arrivals: VecDeque<Arrival>,
    count: usize,
}

impl Flow {
    /// For so many names.
    pub(crate) fn new(names: usize) -> Self {
        Self {
            found: vec![Vec::new(); names],
            assignments: (0..names).map(|_| Vec::new()).collect(),
            arrivals: VecDeque::new(),
            count: 0,
        }
    }

    /// Says that a name is assigned to another.
    pub(crate) fn assign(&mut self, from: usize, to: usize, attributes: String) {
        self.count += 1;
        if let Some(assignments) = self.assignments.get_mut(from) {
            assignments.push(Assignment { to, number: self.count, attributes });
        }
    }

    /// Says what a name stands for by itself.
    pub(crate) fn begin(&mut self, at: usize, target: Target) {
        self.arrive(Arrival { at, target, through: SmallVec::new() });
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Some(found) = self.found.get_mut(arrival.at) else { return };
        if found.len() > TARGETS_MAX || found.contains(&arrival.target) {
            return;
        }
        let is_too_much = found.len() == TARGETS_MAX;
        let target = if is_too_much { Target::ambiguous() } else { arrival.target };
        found.push(target.clone());
        self.arrivals.push_back(Arrival { target, ..arrival });
    }

    /// What each name stands for. `extend` tells what attributes of something are.
    pub(crate) fn run(mut self, extend: impl Fn(&Target, &str) -> Vec<Target>) -> Vec<Vec<Target>> {
        while let Some(Arrival { at, target, through }) = self.arrivals.pop_front() {
            let assignments = self.assignments.get_mut(at).map(std::mem::take).unwrap_or_default();
            for Assignment { to, number, attributes } in &assignments {
                if attributes.is_empty() {
                    let (target, through) = (target.clone(), through.clone());
                    self.arrive(Arrival { at: *to, target, through });
                } else if !through.contains(number) {
                    let mut through = through.clone();
                    if through.len() == REMEMBERED {
                        through.remove(0);
                    }
                    through.push(*number);
                    for target in extend(&target, attributes) {
                        self.arrive(Arrival { at: *to, target, through: through.clone() });
                    }
                }
            }
            if let Some(place) = self.assignments.get_mut(at) {
                *place = assignments;
            }
        }
        self.found
    }
}
