//! Tests of the input line.

use super::*;

fn editor(lines: &[&str]) -> Editor {
    let mut input_history = InputHistory::default();
    lines.iter().for_each(|line| input_history.add(line));
    Editor::new(input_history)
}

fn insert(text: &str) -> EditAction {
    EditAction::Insert(text.into())
}

/// Executes the actions, which complete no input, and returns the text that is shown.
fn shown(editor: &mut Editor, actions: &[EditAction]) -> String {
    for action in actions {
        assert_eq!(editor.execute(action.clone()), None, "{action:?}");
    }
    let view = editor.view();
    format!("{}{}|{}", view.prompt, view.before_cursor, view.after_cursor)
}

#[test]
fn search_shows_matches_and_accepts_one() {
    use EditAction::*;
    let mut editor = editor(&["say one", "two", "say three"]);
    assert_eq!(shown(&mut editor, &[insert("draft"), Search]), "(reverse-i-search)`': draft|");
    assert_eq!(shown(&mut editor, &[insert("s")]), "(reverse-i-search)`s': say three|");
    assert_eq!(shown(&mut editor, &[Search]), "(reverse-i-search)`s': say one|");
    assert_eq!(shown(&mut editor, &[Search]), "(failed reverse-i-search)`s': say one|");
    assert_eq!(shown(&mut editor, &[SearchNewer]), "(reverse-i-search)`s': say three|");
    assert_eq!(shown(&mut editor, &[DeleteLeft]), "(reverse-i-search)`': draft|");
    assert_eq!(shown(&mut editor, &[insert("two"), Accept]), "> two|");
    assert_eq!(editor.execute(Accept), Some(UserInput::Lines("two".into())));
}

#[test]
fn keys_end_the_search() {
    use EditAction::*;
    for (key, text) in [
        (CancelSearch, "> draft|"),
        (Interrupt, "> |"),
        (Escape, "> one|"),
        (Home, "> |one"),
        (Complete, "> one|"),
    ] {
        let mut editor = editor(&["one"]);
        let actions = [insert("draft"), Search, insert("on"), key];
        assert_eq!(shown(&mut editor, &actions), text);
    }
}

#[test]
fn answer_is_stored_nowhere_and_the_draft_stays() {
    use EditAction::*;
    let mut editor = editor(&["one"]);
    shown(&mut editor, &[insert("draft")]);
    editor.ask("password: ", true);
    assert_eq!(shown(&mut editor, &[insert("sec"), Older, Complete, Search]), "password: |");
    assert_eq!(
        shown(&mut editor, &[insert("rex"), DeleteLeft, Paste("t\n".into())]),
        "password: |"
    );
    let answer = UserInput::Answer(Some("secret".into()));
    assert_eq!(editor.execute(Accept), Some(answer));
    assert_eq!(shown(&mut editor, &[Yank]), "> draft|");
    assert_eq!(shown(&mut editor, &[Older]), "> one|");
    editor.ask("yes or no: ", false);
    assert_eq!(shown(&mut editor, &[insert("ye")]), "yes or no: ye|");
    assert_eq!(editor.execute(Interrupt), Some(UserInput::Answer(None)));
    assert_eq!(shown(&mut editor, &[]), "> one|");
}

#[test]
fn interrupt_discards_the_line_or_leaves() {
    use EditAction::*;
    let mut editor = editor(&[]);
    assert_eq!(shown(&mut editor, &[insert("typed"), Interrupt]), "> |");
    assert_eq!(editor.execute(Interrupt), Some(UserInput::Leave));
    assert_eq!(shown(&mut editor, &[insert("ab"), Home, EndOfInput]), "> |b");
    assert_eq!(editor.execute(Quit), Some(UserInput::Quit));
}

#[test]
fn block_is_sent_only_after_confirmation() {
    use EditAction::*;
    let mut editor = editor(&[]);
    shown(&mut editor, &[insert("one\n\n/msg bob x\n"), Accept]);
    assert!(editor.view().hint.unwrap().contains("send these 2 lines"));
    shown(&mut editor, &[insert("n"), Accept, Paste("y".into()), Accept]);
    let lines = UserInput::Lines("one\n\n/msg bob x\n".into());
    assert_eq!(editor.execute(insert("Yes")), Some(lines));
    assert_eq!(shown(&mut editor, &[Undo]), "> |");
    assert_eq!(shown(&mut editor, &[Up]), "> one|");
    shown(&mut editor, &[insert("\n"), Accept, Interrupt]);
    assert!(editor.is_empty());
}

#[test]
fn tab_shows_completions_in_turn() {
    use EditAction::*;
    let mut editor = editor(&[]);
    editor.set_member_names(vec!["albert".into(), "alan".into()]);
    assert_eq!(shown(&mut editor, &[insert("ask al"), Complete]), "> ask albert |");
    assert_eq!(shown(&mut editor, &[Complete]), "> ask alan |");
    assert_eq!(shown(&mut editor, &[Complete]), "> ask albert |");
    assert_eq!(shown(&mut editor, &[insert("x"), Complete]), "> ask albert x|");
}
