//! actix-session: the values are in the cookie. Its services are those of actix-web, including the
//! bare service.

use std::future::ready;

use actix_session::{
    Session, SessionInsertError, SessionMiddleware, config::CookieContentSecurity,
    storage::CookieSessionStore,
};
use actix_web::{
    App, Error, HttpResponse,
    cookie::Key,
    dev::{Service, ServiceResponse},
    http::header,
    test::{TestRequest, init_service},
    web,
};
use axum::Router;
use bytes::Bytes;
use kit::{
    endpoint::{Endpoint, Exchange, poll_once},
    scenario::{ADA, Action, COUNT, NAME, PROFILES, Profile, profile_key, text_key},
};

use super::Sessions;

pub(super) fn private() -> Box<dyn Sessions> {
    Box::new(Middleware {
        key: Key::generate(),
        security: || CookieContentSecurity::Private,
    })
}

pub(super) fn signed() -> Box<dyn Sessions> {
    Box::new(Middleware {
        key: Key::generate(),
        security: || CookieContentSecurity::Signed,
    })
}

pub(super) fn bare() -> Box<dyn Endpoint> {
    Box::new(Actix(poll_once(init_service(
        App::new().route("/", web::get().to(|| ready(HttpResponse::Ok()))),
    ))))
}

struct Middleware {
    key: Key,
    security: fn() -> CookieContentSecurity,
}

impl Sessions for Middleware {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        let middleware =
            SessionMiddleware::builder(CookieSessionStore::default(), self.key.clone())
                .cookie_name(NAME.to_owned())
                .cookie_content_security((self.security)())
                .build();
        let route = match action {
            Action::Nothing => web::get().to(|| ready(HttpResponse::Ok())),
            _ => web::get().to(move |session: Session| {
                handle(&session, action).expect("sessions in cookies do not fail");
                ready(HttpResponse::Ok())
            }),
        };
        Some(Box::new(Actix(poll_once(init_service(
            App::new().wrap(middleware).route("/", route),
        )))))
    }

    fn router(&self, _: &[(&str, Action)]) -> Option<Router> {
        None
    }
}

fn handle(session: &Session, action: Action) -> Result<(), SessionInsertError> {
    match action {
        Action::Nothing => {}
        Action::Read => drop(read::<u64>(session, COUNT).expect("there is a counter")),
        Action::Count => {
            let count: u64 = read(session, COUNT).expect("there is a counter");
            session.insert(COUNT, count + 1)?;
        }
        Action::Create(profiles) => {
            for key in PROFILES.iter().take(profiles) {
                session.insert(*key, ADA)?;
            }
        }
        Action::Prepare(content) => {
            for number in 0..content.profiles {
                session.insert(profile_key(number), ADA)?;
            }
            for number in 0..content.texts {
                session.insert(text_key(number), content.text())?;
            }
            session.insert(COUNT, 0)?;
        }
        Action::Expect(content, count) => {
            for number in 0..content.profiles {
                let profile: Option<Profile> = read(session, &profile_key(number));
                assert_eq!(profile, Some(ADA.to_owned()));
            }
            for number in 0..content.texts {
                let text: Option<String> = read(session, &text_key(number));
                assert_eq!(text, Some(content.text()));
            }
            assert!(count.is_none() || read(session, COUNT) == count);
        }
        Action::ExpectEmpty => assert!(session.entries().is_empty()),
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(session: &Session, key: &str) -> Option<T> {
    session
        .get(key)
        .expect("it has been written by this program")
}

struct Actix<S>(S);

impl<S, B> Exchange for Actix<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
{
    type Request = actix_http::Request;
    type Response = ServiceResponse<B>;

    fn request(field: Option<&Bytes>) -> actix_http::Request {
        let request = TestRequest::get().uri("/");
        match field {
            Some(field) => request
                .insert_header((header::COOKIE, field.as_ref()))
                .to_request(),
            None => request.to_request(),
        }
    }

    fn call(&mut self, request: actix_http::Request) -> ServiceResponse<B> {
        poll_once(self.0.call(request)).expect("sessions in cookies do not fail")
    }

    fn set_cookies(response: &ServiceResponse<B>) -> Vec<String> {
        let fields = response.headers().get_all(header::SET_COOKIE);
        fields
            .map(|field| {
                field
                    .to_str()
                    .expect("cookies are visible ASCII")
                    .to_owned()
            })
            .collect()
    }
}
