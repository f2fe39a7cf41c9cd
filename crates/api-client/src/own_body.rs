//! Answers whose JSON we write ourselves: where there is much of it, or where it is made of texts that
//! are there already.

use bytes::BufMut;
use http::HeaderValue;
use ruma::api::{
    IncomingRequest, Metadata, OutgoingBody, OutgoingResponse,
    error::{DeserializationError, Error as RumaError, IntoHttpError},
};

/// Ruma's request, answered with a body of our own making. Boxed: a long-poll that sleeps would
/// otherwise keep the room that the request took.
pub(crate) struct OwnBody<R>(pub(crate) Box<R>);

/// A body that is JSON already.
pub(crate) struct Json(pub(crate) Vec<u8>);

impl<R: Metadata> Metadata for OwnBody<R> {
    const METHOD: http::Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for OwnBody<R> {
    type EndpointError = RumaError;
    type OutgoingResponse = Json;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let request = R::try_from_http_request_inner(request, path_args)?;
        Ok(Self(Box::new(request)))
    }
}

impl OutgoingResponse for Json {
    type Body = Self;

    fn try_into_http_response_inner(self) -> Result<http::Response<Self>, IntoHttpError> {
        Ok(http::Response::new(self))
    }
}

impl OutgoingBody for Json {
    type Error = std::convert::Infallible;

    fn content_type(&self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("application/json"))
    }

    fn try_into_buf<T: Default + BufMut + AsRef<[u8]>>(self) -> Result<T, Self::Error> {
        let mut buf = T::default();
        buf.put_slice(&self.0);
        Ok(buf)
    }
}
