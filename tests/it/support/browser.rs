//! Drives headless Chromium over the `DevTools` protocol: <https://chromedevtools.github.io/devtools-protocol/>.
//!
//! The connection is a pair of pipes (`--remote-debugging-pipe`), so it needs no WebSocket client, and Chromium exits when
//! the test program does. Messages are JSON objects that end with a zero byte.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use serde_json::{Value, json};

use super::app::new_folder;
use super::are_installed;
use super::wait::{Monitor, wait_until};

/// Chromium, as Debian installs it.
const PROGRAM: &str = "/usr/bin/chromium";

/// Which hosts the browser resolves: none but 127.0.0.1.
const ONLY_LOCAL: &str = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";

/// Connects the pipe of standard input to file descriptor 3, where Chromium reads, and standard output to 4, where it writes.
const CONNECT_PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// A browser process, killed when the last test has dropped it.
pub(crate) struct Browser {
    child: Child,
    /// The profile.
    folder: PathBuf,
    commands: Mutex<ChildStdin>,
    received: Arc<Monitor<Received>>,
    next_id: AtomicU64,
}

/// The messages that the browser has sent.
#[derive(Default)]
struct Received {
    /// The answers to commands, by the command's id.
    answers: HashMap<u64, Value>,
    events: Vec<Event>,
    has_ended: bool,
}

struct Event {
    /// The tab.
    session: String,
    method: String,
    parameters: Value,
}

impl Browser {
    /// Returns the browser that tests share while they run at the same time. If Chromium is not installed, reports that the
    /// test is skipped and returns `None`.
    pub(crate) fn shared(test: &str) -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Browser>> = Mutex::new(Weak::new());
        if !are_installed(&["chromium"], test) {
            return None;
        }
        let mut shared = SHARED.lock().unwrap();
        let browser = shared.upgrade().unwrap_or_else(|| Self::start(ONLY_LOCAL));
        *shared = Arc::downgrade(&browser);
        Some(browser)
    }

    /// Starts a browser. `resolver_rules` say which hosts it can reach, in the syntax of `--host-resolver-rules`.
    pub(crate) fn start(resolver_rules: &str) -> Arc<Self> {
        let folder = new_folder();
        let mut child = Command::new("/bin/sh")
            .args(["-c", CONNECT_PIPES, "sh", PROGRAM, "--headless", "--remote-debugging-pipe"])
            .args(["--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--host-resolver-rules={resolver_rules}"))
            .arg(format!("--user-data-dir={}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = Mutex::new(child.stdin.take().unwrap());
        let received = Arc::default();
        receive(child.stdout.take().unwrap(), &received);
        Arc::new(Self { child, folder, commands, received, next_id: AtomicU64::new(1) })
    }

    /// Opens an empty tab, which shares no cookies and no storage with other tabs.
    pub(crate) fn tab(self: &Arc<Self>) -> Tab {
        let context = self.ask("", "Target.createBrowserContext", &json!({"disposeOnDetach": true}));
        let context = context["browserContextId"].as_str().unwrap().to_owned();
        let clipboard = json!({"browserContextId": context, "permissions": ["clipboardReadWrite"]});
        self.ask("", "Browser.grantPermissions", &clipboard);
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = self.ask("", "Target.createTarget", &target);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session =
            self.ask("", "Target.attachToTarget", &attach)["sessionId"].as_str().unwrap().to_owned();
        let tab = Tab { browser: Arc::clone(self), context, session };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            tab.ask(&format!("{domain}.enable"), &json!({}));
        }
        tab.ask("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        tab
    }

    /// Sends a command and returns its result. Commands to the browser itself have an empty session.
    fn ask(&self, session: &str, method: &str, parameters: &Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if !session.is_empty() {
            command["sessionId"] = session.into();
        }
        self.commands.lock().unwrap().write_all(format!("{command}\0").as_bytes()).unwrap();
        let is_over = self.received.wait_for(|all| all.has_ended || all.answers.contains_key(&id));
        let mut answer = None;
        self.received.update(|all| answer = all.answers.remove(&id));
        let mut answer = answer.unwrap_or_else(|| panic!("no answer to {command} (in time: {is_over})"));
        assert_eq!(answer.get("error"), None, "{command}");
        answer["result"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Starts a thread that receives the browser's messages until it exits.
fn receive(pipe: ChildStdout, received: &Arc<Monitor<Received>>) {
    let received = Arc::clone(received);
    thread::spawn(move || {
        let messages = BufReader::new(pipe).split(0).map_while(Result::ok);
        for mut message in messages.map(|message| serde_json::from_slice::<Value>(&message).unwrap()) {
            let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            let (session, method) = (text("sessionId"), text("method"));
            received.update(|all| match message["id"].as_u64() {
                Some(id) => drop(all.answers.insert(id, message)),
                None => all.events.push(Event { session, method, parameters: message["params"].take() }),
            });
        }
        received.update(|all| all.has_ended = true);
    });
}

/// A tab of a browser.
pub(crate) struct Tab {
    browser: Arc<Browser>,
    context: String,
    session: String,
}

impl Tab {
    /// Sends a command to the tab and returns its result.
    pub(crate) fn ask(&self, method: &str, parameters: &Value) -> Value {
        self.browser.ask(&self.session, method, parameters)
    }

    /// Opens a URL and waits until the page and everything in it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.wait_for_load(|| drop(self.ask("Page.navigate", &json!({"url": url}))));
    }

    /// Does something that opens another page, and waits until that is loaded.
    fn wait_for_load(&self, action: impl FnOnce()) {
        let n_loaded = |all: &Received| self.events(all, "Page.loadEventFired").count();
        let before = self.browser.received.read(n_loaded);
        action();
        let is_loaded = self.browser.received.wait_for(|all| n_loaded(all) > before);
        assert!(is_loaded, "no page was loaded after {}", self.url());
    }

    fn events<'a>(&'a self, all: &'a Received, method: &str) -> impl Iterator<Item = &'a Value> {
        let events = all.events.iter().filter(|event| event.session == self.session);
        let method = method.to_owned();
        events.filter(move |event| event.method == method).map(|event| &event.parameters)
    }

    /// Evaluates JavaScript, also in a tab that runs no scripts of pages, and returns the value or that of its promise.
    pub(crate) fn eval(&self, script: &str) -> Value {
        let parameters = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.ask("Runtime.evaluate", &parameters);
        assert_eq!(answer.get("exceptionDetails"), None, "{script}");
        answer["result"]["value"].take()
    }

    /// Evaluates JavaScript to a text.
    pub(crate) fn text(&self, script: &str) -> String {
        let value = self.eval(script);
        value.as_str().unwrap_or_else(|| panic!("{script} is {value}")).to_owned()
    }

    /// Returns the URL of the page.
    pub(crate) fn url(&self) -> String {
        self.text("location.href")
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) fn wait_until(&self, condition: &str) {
        wait_until(condition, || self.eval(&format!("Boolean({condition})")) == true);
    }

    /// Clicks the middle of the first element that matches a selector, where nothing may cover it.
    pub(crate) fn click(&self, selector: &str) {
        let script = format!(
            "(() => {{
               const element = document.querySelector({selector:?});
               if (!element) return 'there is no such element';
               element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
               const box = element.getClientRects()[0];
               if (!box) return 'it is not shown';
               const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
               const top = document.elementFromPoint(x, y);
               return element.contains(top) || top?.contains(element) ? {{ x, y }} : 'it is covered';
             }})()"
        );
        let mut event = self.eval(&script);
        assert!(event.is_object(), "{selector} on {}: {event}", self.url());
        event["button"] = "left".into();
        event["clickCount"] = 1.into();
        for kind in ["mousePressed", "mouseReleased"] {
            event["type"] = kind.into();
            self.ask("Input.dispatchMouseEvent", &event);
        }
    }

    /// Clicks an element that leads to another page.
    pub(crate) fn follow(&self, selector: &str) {
        self.wait_for_load(|| self.click(selector));
    }

    /// Replaces the text in a field as if it were pasted.
    pub(crate) fn paste(&self, selector: &str, text: &str) {
        self.click(selector);
        self.eval(&format!("document.querySelector({selector:?}).select()"));
        self.ask("Input.insertText", &json!({"text": text}));
    }

    /// Chooses an option of a drop-down list, whose menu is outside of the page.
    pub(crate) fn choose(&self, selector: &str, value: &str) {
        self.eval(&format!("document.querySelector({selector:?}).value = {value:?}"));
        assert_eq!(self.text(&format!("document.querySelector({selector:?}).value")), value);
    }

    /// Presses Enter in the field that has the focus, which sends its form.
    pub(crate) fn press_enter(&self) {
        let key = json!({"type": "keyDown", "key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        self.wait_for_load(|| drop(self.ask("Input.dispatchKeyEvent", &key)));
    }

    /// Runs no scripts of pages from now on.
    pub(crate) fn disable_scripts(&self) {
        self.ask("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    }

    /// Sets the size of the window in CSS pixels, and the colour scheme that the person prefers.
    pub(crate) fn set_window(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Returns the URLs of all requests, in their order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let of = |all: &Received| {
            let requests = self.events(all, "Network.requestWillBeSent");
            requests.map(|request| request["request"]["url"].as_str().unwrap().to_owned()).collect()
        };
        self.browser.received.read(of)
    }

    /// Returns the errors and warnings of the console: those of scripts, failed requests and violations of the
    /// Content-Security-Policy. The status of a page itself is not among them.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let of = |all: &Received| {
            let requests = self.events(all, "Network.requestWillBeSent");
            let pages: Vec<&Value> = requests
                .filter(|request| request["type"] == "Document")
                .map(|request| &request["request"]["url"])
                .collect();
            let entries = self.events(all, "Log.entryAdded").map(|event| &event["entry"]);
            let entries =
                entries.filter(|entry| entry["source"] != "network" || !pages.contains(&&entry["url"]));
            let calls = self.events(all, "Runtime.consoleAPICalled");
            let exceptions = self.events(all, "Runtime.exceptionThrown");
            entries.chain(calls).chain(exceptions).map(Value::to_string).collect()
        };
        self.browser.received.read(of)
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if !thread::panicking() {
            let context = json!({"browserContextId": self.context});
            self.browser.ask("", "Target.disposeBrowserContext", &context);
        }
    }
}
