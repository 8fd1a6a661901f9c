//! The application of a host: what it does on an event, and what its script says.

use b4ae_core::{Event, Instant, MessageId, SendError, SessionId};

use super::{Host, Surroundings};
use crate::app::{App, Operation};
use crate::violation::Violation;

impl Host {
    pub(super) fn event(&mut self, around: &mut Surroundings<'_>, event: Event) -> Result<(), Violation> {
        let now = around.now;
        around.trace.line(now, format_args!("host {} {event:?}", self.id));
        self.events.push((now, event));
        match event {
            Event::Incoming(id) | Event::Established(id) => self.opened(around, id)?,
            Event::Readable(id) => {
                around.model.is_alive(self.end(id))?;
                self.read(around, id)?;
            }
            Event::Writable(id) => {
                around.model.is_alive(self.end(id))?;
                self.retry(around, id)?;
            }
            Event::Delivered(id, message) => {
                around.model.is_alive(self.end(id))?;
                around.model.confirmed(self.end(id), message)?;
            }
            Event::Closed(id, reason) => {
                around.model.is_alive(self.end(id))?;
                around.model.closes(self.end(id), reason);
                self.apps.remove(&id);
            }
            Event::PathChanged(id) => around.model.is_alive(self.end(id))?,
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, around: &mut Surroundings<'_>, id: SessionId) -> Result<(), Violation> {
        let end = self.end(id);
        let own = self.parts.identity.peer_id();
        let missing = Violation::Missing { session: id };
        let session = self.engine.as_mut().and_then(|engine| engine.session(id).ok()).ok_or(missing)?;
        let exporter = session.exporter(b"b4ae-sim pair").ok_or(Violation::Anonymous { session: id })?;
        around.model.opens(end, own, session.peer(), session.mode(), *exporter.expose())?;
        self.app(id).start(around.now);
        Ok(())
    }

    fn app(&mut self, id: SessionId) -> &mut App {
        let (behaviour, draws) = (self.parts.behaviour, &self.draws);
        self.apps.entry(id).or_insert_with(|| App::new(behaviour, draws.stream("app", id.to_raw())))
    }

    /// Notes a session that this host began.
    pub(crate) fn began(&mut self, around: &mut Surroundings<'_>, id: SessionId) -> Result<(), Violation> {
        if self.app(id).is_eager() {
            self.app(id).start(around.now);
        }
        self.turn(around)
    }

    /// Lets every application do what it is due to do.
    pub(super) fn applications(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        let now = around.now;
        let ids: Vec<_> = self.apps.keys().copied().collect();
        if self.reads_at.is_some_and(|at| at > Instant::ORIGIN && at <= now) {
            self.reads_at = Some(Instant::ORIGIN);
            for id in &ids {
                self.read(around, *id)?;
            }
        }
        let mut acted = false;
        for id in ids {
            while let Some(operation) = self.apps.get_mut(&id).and_then(|app| app.take(now)) {
                acted = true;
                match operation {
                    Operation::Send { len, ordered } => {
                        let message = self.app(id).message(len);
                        self.offer(around, id, message, ordered)?;
                    }
                    Operation::Close => self.close(id),
                }
            }
        }
        if acted { self.after_command(around) } else { Ok(()) }
    }

    /// What follows a command: outputs, should there be any, and the timer; but no turn.
    pub(crate) fn after_command(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        self.drain(around)?;
        self.arm();
        Ok(())
    }

    pub(crate) fn close(&mut self, id: SessionId) {
        if let Some(Ok(mut session)) = self.engine.as_mut().map(|engine| engine.session(id)) {
            session.close();
        }
        if let Some(app) = self.apps.get_mut(&id) {
            app.stop();
        }
    }

    pub(crate) fn send(
        &mut self,
        around: &mut Surroundings<'_>,
        id: SessionId,
        message: &[u8],
        ordered: bool,
    ) -> Result<Result<MessageId, SendError>, Violation> {
        let Some(Ok(mut session)) = self.engine.as_mut().map(|engine| engine.session(id)) else {
            return Ok(Err(SendError::Closing));
        };
        let result = if ordered { session.send(message) } else { session.send_unordered(message) };
        if let Ok(id_in_session) = result {
            around.trace.line(around.now, format_args!("host {} session {id} sends {}", self.id, message.len()));
            around.model.sends(self.end(id), id_in_session, message, ordered)?;
        }
        Ok(result)
    }

    fn offer(
        &mut self,
        around: &mut Surroundings<'_>,
        id: SessionId,
        message: Vec<u8>,
        ordered: bool,
    ) -> Result<bool, Violation> {
        Ok(match self.send(around, id, &message, ordered)? {
            Ok(_) | Err(SendError::TooLong { .. } | SendError::PeerTakesNone) => true,
            Err(SendError::Full) => {
                self.app(id).waiting = Some((message, ordered));
                false
            }
            Err(_) => {
                self.app(id).stop();
                false
            }
        })
    }

    fn retry(&mut self, around: &mut Surroundings<'_>, id: SessionId) -> Result<(), Violation> {
        let Some(app) = self.apps.get_mut(&id) else { return Ok(()) };
        if let Some((message, ordered)) = app.waiting.take()
            && self.offer(around, id, message, ordered)?
        {
            self.echo(around, id)?;
        }
        Ok(())
    }

    fn echo(&mut self, around: &mut Surroundings<'_>, id: SessionId) -> Result<(), Violation> {
        while let Some(app) = self.apps.get_mut(&id).filter(|app| app.waiting.is_none()) {
            let Some(message) = app.echoes.pop_front() else { break };
            self.offer(around, id, message, true)?;
        }
        Ok(())
    }

    /// Takes every message that waits, if the application reads at all.
    fn read(&mut self, around: &mut Surroundings<'_>, id: SessionId) -> Result<(), Violation> {
        if self.reads_at != Some(Instant::ORIGIN) {
            return Ok(());
        }
        while let Some(Ok(mut session)) = self.engine.as_mut().map(|engine| engine.session(id)) {
            let Some(len) = session.next_len() else { break };
            let mut message = vec![0; len];
            let Ok(taken) = session.recv(&mut message) else { break };
            message.truncate(taken);
            around.trace.line(around.now, format_args!("host {} session {id} takes {taken}", self.id));
            around.model.takes(self.end(id), &message)?;
            self.app(id).took(&message);
            if self.parts.keep_messages {
                self.messages.push((id, message));
            }
        }
        self.echo(around, id)
    }
}
