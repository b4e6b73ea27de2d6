//! The screen.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Table, TableState, Wrap},
};

use super::{
    app::{App, Link, Mode, Pane},
    columns::{BROWSERS, Column, GAP, LEASES, fitting},
    look::Look,
    model::{complaints, health, readiness, uptime},
    rows::duration,
    spark,
    words::{self, bytes, clean, latency, rate},
};
use crate::proto::Status;

/// Below this nothing can be read.
const LEAST: (u16, u16) = (30, 10);
/// From this height on there is room for charts.
const ROOM_FOR_CHARTS: u16 = 20;

const KEYS: &str = "q quit  ? help  tab list  r retire  e end  d drain  u resume  s sort  p pause";

const HELP: [&str; 13] = [
    "up down j k    move in the list",
    "PgUp PgDn g G  move further",
    "tab            the other list",
    "s              sort it otherwise",
    "p              pause and go on",
    "",
    "r   retire the selected browser",
    "e   end the selected lease",
    "d   drain: refuse new work",
    "u   take new work again",
    "    each is asked first: y or n",
    "",
    "q   quit          any key: back",
];

/// Draws `app`.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, look: Look) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {}x{} at least; q quits", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let ill = app.model.status().map(complaints).unwrap_or_default();
    let charts = if area.height >= ROOM_FOR_CHARTS { 4 } else { 0 };
    let [head, notices, chart, lists, detail, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(notices(app, &ill)),
        Constraint::Length(charts),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, app, look);
    draw_notices(frame, notices, app, &ill, look);
    if charts > 0 {
        let [_, chart] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(chart);
        spark::draw(frame, chart, &app.model, look);
    }
    draw_lists(frame, lists, app, look);
    draw_detail(frame, detail, app, look);
    draw_foot(frame, foot, app, look);
    if app.mode == Mode::Help {
        draw_help(frame, area, look);
    }
}

fn notices(app: &App, ill: &[String]) -> u16 {
    // Why takes more than a line on most screens.
    let lost = 2 * u16::from(matches!(app.link, Link::Lost { .. }));
    lost + u16::try_from(ill.len().min(2)).unwrap_or_default()
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let Some(status) = app.model.status() else {
        frame.render_widget("berth top: waiting for the broker", area);
        return;
    };
    let mut state = vec![
        Span::styled(
            readiness(status),
            if status.ready {
                look.good()
            } else {
                look.fair()
            },
        ),
        Span::raw(" "),
        Span::styled(health(status.health()), look.health(status.health())),
    ];
    if app.paused {
        state.insert(0, Span::styled("PAUSED ", look.fair()));
    }
    if matches!(app.link, Link::Lost { .. }) {
        state.insert(0, Span::styled("OLD ", look.fair()));
    }
    let state = Line::from(state).alignment(Alignment::Right);
    let width = u16::try_from(state.width()).unwrap_or(u16::MAX);
    let [first, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)])
        .spacing(1)
        .areas(first);
    let title = format!(
        "berth {}  {}  up {}",
        clean(&status.version),
        clean(&status.node),
        words::duration(uptime(status))
    );
    frame.render_widget(Line::styled(title, look.strong()), left);
    frame.render_widget(state, right);
    frame.render_widget(Paragraph::new(figures(status, app)), rest);
}

fn figures(status: &Status, app: &App) -> Vec<Line<'static>> {
    let fetches = status.fetches.unwrap_or_default();
    let last = app.model.last();
    let quick = if fetches.recent == 0 {
        "no latency yet".into()
    } else {
        let (p50, p95) = (duration(fetches.latency_p50), duration(fetches.latency_p95));
        format!("p50 {}  p95 {}", latency(p50), latency(p95))
    };
    let waiting = match fetches.waiting {
        0 => String::new(),
        some => format!(" {some} waiting"),
    };
    let fetch = format!(
        "fetches {}  failed {}  {quick}  http {} active {} idle{waiting}",
        rate(last.rate),
        rate(last.failing),
        fetches.connections_active,
        fetches.connections_idle,
    );
    let broker = format!(
        "waiting {}/{}  running {}  broker {}  fds {}/{}  zombies {}",
        status.waiting,
        status.queue,
        status.running,
        bytes(status.resident_bytes),
        status.open_fds,
        status.max_fds,
        status.zombies,
    );
    vec![Line::raw(broker), Line::raw(fetch)]
}

fn draw_notices(frame: &mut Frame<'_>, area: Rect, app: &App, ill: &[String], look: Look) {
    let told = u16::try_from(ill.len().min(2)).unwrap_or_default();
    let [lost, parts] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(told)]).areas(area);
    if let Link::Lost { why, again } = &app.link {
        let again = words::latency(*again);
        let text = format!("connection lost, again in {again}: {why}");
        let lines = Paragraph::new(text).wrap(Wrap { trim: true });
        frame.render_widget(lines.style(look.alarm()), lost);
    }
    let ill = ill.iter().take(2);
    let ill = ill.map(|text| Line::styled(format!("! {text}"), look.fair()));
    frame.render_widget(Paragraph::new(ill.collect::<Vec<_>>()), parts);
}

fn draw_lists(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let (leases, browsers) = (app.leases(), app.browsers());
    // Two lines of each are its title and its heads.
    let wanted = |rows: usize| {
        u16::try_from(rows.max(1))
            .unwrap_or(u16::MAX)
            .saturating_add(2)
    };
    let half = area.height / 2;
    let below =
        wanted(browsers.len()).min(half.max(area.height.saturating_sub(wanted(leases.len()))));
    let [upper, lower] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(area);
    let max = app.model.status().map_or(0, |status| status.max_browsers);
    List {
        title: format!("Leases {}, by {}", leases.len(), app.lease_order.word()),
        none: "no browser is leased",
        columns: LEASES,
        selected: app.selected_lease(&leases),
        focused: app.pane == Pane::Leases,
        style: |_, _| Style::new(),
        rows: leases,
    }
    .draw(frame, upper, look);
    List {
        title: format!(
            "Browsers {} of {max}, by {}",
            browsers.len(),
            app.browser_order.word()
        ),
        none: "no browser runs",
        columns: BROWSERS,
        selected: app.selected_browser(&browsers),
        focused: app.pane == Pane::Browsers,
        style: |look, row| look.browser(row.state),
        rows: browsers,
    }
    .draw(frame, lower, look);
}

/// One of the lists.
struct List<R: 'static> {
    title: String,
    none: &'static str,
    columns: &'static [Column<R>],
    rows: Vec<R>,
    selected: Option<usize>,
    focused: bool,
    style: fn(Look, &R) -> Style,
}

impl<R> List<R> {
    fn draw(&self, frame: &mut Frame<'_>, area: Rect, look: Look) {
        const MARK: &str = "> ";
        let title = if self.focused {
            look.strong()
        } else {
            look.faint()
        };
        let block = Block::new()
            .borders(Borders::TOP)
            .border_style(look.faint())
            .title(Span::styled(format!(" {} ", self.title), title));
        if self.rows.is_empty() {
            let none = Paragraph::new(format!("  {}", self.none)).style(look.faint());
            frame.render_widget(none.block(block), area);
            return;
        }
        let columns = fitting(self.columns, area.width.saturating_sub(2));
        let align = |right| {
            if right {
                Alignment::Right
            } else {
                Alignment::Left
            }
        };
        let head = columns.iter().map(|column| {
            let line = Line::raw(column.title).alignment(align(column.right));
            Cell::new(line)
        });
        let rows = self.rows.iter().map(|row| {
            let cells = columns.iter().map(|column| {
                let line = Line::raw((column.text)(row)).alignment(align(column.right));
                Cell::new(line)
            });
            Row::new(cells).style((self.style)(look, row))
        });
        let last = columns.len() - 1;
        let widths = columns.iter().enumerate().map(|(at, column)| {
            if at == last && !column.right {
                Constraint::Fill(1)
            } else {
                Constraint::Length(column.width)
            }
        });
        let mark = if self.focused { MARK } else { "  " };
        let table = Table::new(rows, widths)
            .header(Row::new(head).style(look.faint()))
            .column_spacing(GAP)
            .highlight_symbol(mark)
            .row_highlight_style(look.selected(self.focused))
            .block(block);
        let mut state = TableState::new().with_selected(self.selected);
        frame.render_stateful_widget(table, area, &mut state);
    }
}

/// The whole name of what is selected, which its row may have no room for.
fn draw_detail(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let text = match app.pane {
        Pane::Leases => {
            let rows = app.leases();
            let row = app.selected_lease(&rows).map(|at| &rows[at]);
            row.map(|row| {
                let most = if row.held {
                    "held, ends at most in"
                } else {
                    "ends in"
                };
                let left = words::duration(row.left);
                format!("{}  {most} {left}  {}  {}", row.id, row.owner, row.labels)
            })
        }
        Pane::Browsers => {
            let rows = app.browsers();
            let row = app.selected_browser(&rows).map(|at| &rows[at]);
            row.map(|row| {
                let lease = if row.lease.is_empty() {
                    "no lease"
                } else {
                    &row.lease
                };
                format!(
                    "{}  pid {}  {} processes  {lease}",
                    row.id, row.pid, row.processes
                )
            })
        }
    };
    frame.render_widget(Line::styled(text.unwrap_or_default(), look.faint()), area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let line = match (&app.mode, &app.said) {
        (Mode::Asking(deed), _) => Line::styled(format!("y/n: {}", deed.question()), look.alarm()),
        (_, Some(said)) if said.failed => {
            Line::styled(format!("not done: {}", said.text), look.bad())
        }
        (_, Some(said)) => Line::styled(said.text.clone(), look.strong()),
        (_, None) => Line::raw(KEYS),
    };
    frame.render_widget(line, area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect, look: Look) {
    let width = 38.min(area.width);
    let height = u16::try_from(HELP.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let popup = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = Block::bordered().title(Span::styled(" keys ", look.strong()));
    let lines: Vec<_> = HELP
        .iter()
        .map(|line| Line::raw(format!(" {line}")))
        .collect();
    frame.render_widget(Clear, popup);
    frame.render_widget(Paragraph::new(lines).block(block), popup);
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
