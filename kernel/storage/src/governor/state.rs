//! What the governor knows at a time: the buckets, what each share used, and who sleeps.
//!
//! A function of the times that it is told, so that it can be tested without waiting.

use super::bucket::Bucket;
use super::recent::Recent;
use super::{Caps, Share, Usage};

/// A sleeper's place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

/// See the module's header.
#[derive(Debug)]
pub struct State {
    caps: Caps,
    cpus: u32,
    total: Bucket,
    accounts: [Account; Share::ALL.len()],
    /// Who sleeps, in the order in which they came.
    line: Vec<(Turn, Share)>,
    next_turn: u64,
}

#[derive(Debug)]
struct Account {
    /// Of a share with a number of its own.
    own: Option<Bucket>,
    usage: Usage,
    recent: Recent,
    /// Who works on a debt.
    debtors: u32,
}

impl State {
    pub fn new(caps: Caps, cpus: u32, now: u64) -> State {
        let account = |share| Account {
            own: caps
                .of(share)
                .map(|percent| Bucket::new(percent, cpus, now)),
            usage: Usage::default(),
            recent: Recent::default(),
            debtors: 0,
        };
        State {
            caps,
            cpus,
            total: Bucket::new(caps.max_cpu_background, cpus, now),
            accounts: Share::ALL.map(account),
            line: Vec::new(),
            next_turn: 0,
        }
    }

    pub fn caps(&self) -> Caps {
        self.caps
    }

    pub fn set_caps(&mut self, caps: Caps, now: u64) {
        self.caps = caps;
        self.total
            .set_percent(caps.max_cpu_background, self.cpus, now);
        for share in Share::ALL {
            let own = &mut self.accounts[share as usize].own;
            if let (Some(bucket), Some(percent)) = (own, caps.of(share)) {
                bucket.set_percent(percent, self.cpus, now);
            }
        }
    }

    pub fn usage(&mut self, share: Share, now: u64) -> Usage {
        let account = &mut self.accounts[share as usize];
        let waiting = self.line.iter().filter(|(_, other)| *other == share);
        Usage {
            recent_micros: account.recent.sum(now),
            waiting: waiting.count() as u32,
            in_debt: account.debtors > 0,
            ..account.usage
        }
    }

    pub fn charge(&mut self, share: Share, micros: u64, now: u64) {
        self.total.take(micros, now);
        let account = &mut self.accounts[share as usize];
        if let Some(own) = &mut account.own {
            own.take(micros, now);
        }
        account.usage.used_micros += micros;
        account.recent.add(micros, now);
    }

    /// [`charge`](Self::charge) for what was used without asking, which is not held against the others
    /// for ever.
    pub fn charge_over(&mut self, share: Share, micros: u64, now: u64) {
        self.charge(share, micros, now);
        self.total.forgive();
        let account = &mut self.accounts[share as usize];
        if let Some(own) = &mut account.own {
            own.forgive();
        }
        account.usage.over_micros += micros;
    }

    pub fn set_in_debt(&mut self, share: Share, in_debt: bool) {
        let debtors = &mut self.accounts[share as usize].debtors;
        *debtors = match in_debt {
            true => *debtors + 1,
            false => debtors.saturating_sub(1),
        };
    }

    /// Microseconds until a piece of work of the share may begin; `None` when its cap is 0.
    pub fn wait_micros(&mut self, share: Share, now: u64) -> Option<u64> {
        if !self.caps.enforced {
            return Some(0);
        }
        let total = self.total.wait_micros(now)?;
        match &mut self.accounts[share as usize].own {
            Some(own) => Some(own.wait_micros(now)?.max(total)),
            None => Some(total),
        }
    }

    /// The same for one who stands in line, or gets a place there when it has to wait; `None`, too, when
    /// it is somebody else's turn, who says when it is over.
    pub fn turn(&mut self, share: Share, turn: &mut Option<Turn>, now: u64) -> Option<u64> {
        let wait = self.wait_micros(share, now);
        let first = self.first_in_line(now);
        if wait == Some(0) && (first.is_none() || first == *turn) {
            return Some(0);
        }
        if turn.is_none() {
            let taken = Turn(self.next_turn);
            self.next_turn += 1;
            self.line.push((taken, share));
            *turn = Some(taken);
        }
        wait.filter(|micros| *micros > 0)
    }

    /// Who may go on now.
    fn first_in_line(&mut self, now: u64) -> Option<Turn> {
        let ready = Share::ALL.map(|share| self.wait_micros(share, now) == Some(0));
        let mut line = self.line.iter();
        line.find(|(_, share)| ready[*share as usize])
            .map(|(turn, _)| *turn)
    }

    /// Whoever had the place goes, after so long.
    pub fn leave(&mut self, share: Share, turn: Option<Turn>, slept_micros: u64) {
        if let Some(turn) = turn {
            self.line.retain(|(other, _)| *other != turn);
            self.accounts[share as usize].usage.throttled_micros += slept_micros;
        }
    }
}
