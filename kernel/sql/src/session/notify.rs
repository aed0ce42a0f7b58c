//! LISTEN, UNLISTEN and NOTIFY in a session: see [`crate::notify`].

use std::time::Duration;

use sqlparser::ast::Ident;

use super::info::SessionInfo;
use super::outcome::{Outcome, TransactionStatus};
use super::{Session, done};
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::notify::{Listening, Notification};

/// A channel is named as a column is, and not by a text.
fn name(channel: &Ident) -> Result<String> {
    match channel.quote_style {
        Some('\'') => Err(SqlError::new(
            state::SYNTAX_ERROR,
            format!("syntax error at or near \"{channel}\""),
        )),
        _ => Ok(fold(channel)),
    }
}

impl SessionInfo {
    /// `pg_notify`, and NOTIFY.
    pub(crate) fn notify(&self, channel: &str, payload: &str) -> Result<()> {
        self.note_effect();
        self.pending.lock().notify(channel, payload)
    }

    /// The channels that the session listens to.
    pub(crate) fn listening_channels(&self) -> Vec<String> {
        self.inbox.channels()
    }
}

impl Session {
    pub(crate) fn listen(&mut self, channel: &Ident) -> Result<Outcome> {
        let channel = Listening::To(name(channel)?);
        self.change_listening(channel);
        done("LISTEN")
    }

    pub(crate) fn unlisten(&mut self, channel: &Ident) -> Result<Outcome> {
        let channel = match (channel.quote_style, channel.value.as_str()) {
            (None, "*") => Listening::ToNothing,
            _ => Listening::NotTo(name(channel)?),
        };
        self.change_listening(channel);
        done("UNLISTEN")
    }

    /// When the transaction commits.
    pub(super) fn change_listening(&mut self, listening: Listening) {
        self.info.note_effect();
        self.info.pending.lock().listen(listening);
    }

    pub(crate) fn notify_channel(
        &mut self,
        channel: &Ident,
        payload: Option<&str>,
    ) -> Result<Outcome> {
        self.info.notify(&name(channel)?, payload.unwrap_or(""))?;
        done("NOTIFY")
    }

    /// Runs what commits, and tells whoever listens when it has.
    pub(super) fn commit_notifying(
        &mut self,
        commit: impl FnOnce(&mut Session) -> Result<()>,
    ) -> Result<()> {
        let Some(pending) = self.info.take_pending() else {
            return commit(self);
        };
        let (listening, notified) = pending.into_parts();
        let info = self.info.clone();
        let notifications = info.instance.notifications();
        if notified.is_empty() {
            commit(self)?;
            notifications.listen(info.pid, &info.inbox, listening);
            return Ok(());
        }
        let sent = notifications.prepare(info.pid, notified)?;
        let order = notifications.order();
        commit(self)?;
        notifications.listen(info.pid, &info.inbox, listening);
        notifications.deliver(&sent);
        drop(order);
        Ok(())
    }

    /// What the session was notified of since the last call, in the order of the commits. Inside of a
    /// transaction that is nothing: it comes when that has ended.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        match self.transaction_status() {
            TransactionStatus::Idle => self.info.inbox.take(),
            _ => Vec::new(),
        }
    }

    /// Whether [`Session::take_notifications`] would give something.
    pub fn has_notifications(&self) -> bool {
        self.info.inbox.has_some() && self.transaction_status() == TransactionStatus::Idle
    }

    /// Waits for a notification, for ever or for so long; whether there is one. Inside of a transaction none
    /// comes, and this does not wait.
    pub fn wait_for_notification(&mut self, longest: Option<Duration>) -> bool {
        match self.transaction_status() {
            TransactionStatus::Idle => self.info.inbox.wait(longest),
            _ => false,
        }
    }

    /// Whether the session listens to a channel.
    pub fn is_listening(&self) -> bool {
        self.info.inbox.is_listening()
    }

    /// Runs this, from whatever thread, when the one that serves the session should look at it though its
    /// client is quiet. It must be short, and call nothing of the session.
    pub fn set_waker(&mut self, waker: impl Fn() + Send + Sync + 'static) {
        self.info.inbox.set_waker(Some(std::sync::Arc::new(waker)));
    }
}
